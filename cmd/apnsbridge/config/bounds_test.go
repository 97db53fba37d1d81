package config

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Files that are made to do harm are refused, or read, within a second.
func TestHostileFiles(t *testing.T) {
	bomb := "apps: &a [x]\n"
	for i := range 12 {
		bomb += fmt.Sprintf("a%d: &a [%s]\n", i, strings.Repeat("*a, ", 10))
	}
	for _, tt := range []struct{ name, text, want string }{
		{"brackets", "a: " + strings.Repeat("[", 20_000), "nested more than 50 deep"},
		{"brackets with quoted ends", "a: " + strings.Repeat(`["]",`, 20_000), "nested more than 50 deep"},
		{"maps in a line", "a: " + strings.Repeat("{a: ", 5000), "nested more than 50 deep"},
		{"lists in a line", "a:\n" + strings.Repeat("- ", 5000) + "x", "nested more than 50 deep"},
		{"questions in a line", strings.Repeat("? ", 5000), "nested more than 50 deep"},
		{"a staircase", func() string {
			var b strings.Builder
			for i := range 500 {
				b.WriteString(strings.Repeat(" ", i) + "a:\n")
			}
			return b.String()
		}(), "nested more than 50 deep"},
		{"a wide list", "a: [" + strings.Repeat("x,", 200_000) + "x]", "more than 100000 values"},
		{"many apps", "apps:\n" + strings.Repeat("  a: {topic: x}\n", 60_000), "more than 100000 values"},
		{"a bomb of aliases", bomb, "more than 100000 values"},
		{"an alias of itself", "apps: &x {m: {<<: *x}}", "stands before &x, or within it"},
		{"a list of itself", "apps: &x [*x]", "stands before &x, or within it"},
		{"a long word", "apps: " + strings.Repeat("x", 3<<20), "has keys of its own"},
		{"a long key", strings.Repeat("x", 3<<20) + ": [", "]"},
		{"mistakes", "tls:\n" + func() string {
			var b strings.Builder
			for i := range 3000 {
				fmt.Fprintf(&b, "  certificat%d: x\n", i)
			}
			return b.String()
		}(), "and 2901 more problems"},
		{"quotes", "apps: '" + strings.Repeat("''", 500_000), "quote"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := spent()
			_, err := parse("f", []byte(tt.text), environment)
			if err == nil || !strings.Contains(err.Error(), tt.want) || len(err.Error()) > 10_000 {
				t.Errorf("got %.300v", err)
			}
			if took := spent() - before; took > 20*time.Second { // about a second on an idle machine
				t.Errorf("took %v", took)
			}
		})
	}
}

// The bounds also hold for included files, and for all files together.
func TestHostileIncludes(t *testing.T) {
	wide := "clients: [" + strings.Repeat("x,", 60_000) + "x]\n"
	for _, tt := range []struct{ name, one, two, want string }{
		{"deep", app, "topic: " + strings.Repeat("[", 5000), "two.yaml:1: values are nested more than 50 deep"},
		{"long", app, "# " + strings.Repeat("x", 5<<20), "two.yaml:1: the file is longer than 4 MiB"},
		{"together", wide, wide, "two.yaml:1: the files together have more than 100000 values"},
	} {
		_, _, err := files(t, map[string]string{"apnsbridge.yaml": top + "apps_dir: apps.d\n",
			"apps.d/one.yaml": tt.one, "apps.d/two.yaml": tt.two})
		if err == nil || !strings.Contains(err.Error(), tt.want) || len(err.Error()) > 20_000 {
			t.Errorf("%s: got %.600v", tt.name, err)
		}
	}
}

// What people write is far below the bounds: 2,000 apps, with anchors.
func TestManyApps(t *testing.T) {
	var b strings.Builder
	b.WriteString("tls: {certificate: a, key: b}\napps:\n  a: &a {topic: x, credential: {certificate: {file: a}}, " +
		"clients: [{cidr: 10.1.0.0/16}]}\n")
	for range 2000 {
		b.WriteString("  b" + strings.Repeat("b", b.Len()%7) + ": {<<: *a, topic: y}\n")
	}
	if _, problem := parseDocument("f", []byte(b.String())); problem != nil {
		t.Error(problem)
	}
}

func FuzzBounds(f *testing.F) {
	f.Add(minimal)
	f.Add("a: &x [*x]")
	f.Add("? - [{a: b}, 'c', \"d\"]\n- |\n  x\n")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 10_000 {
			return
		}
		c, err := parse("f", []byte(text), environment)
		if (c == nil) == (err == nil) {
			t.Fatalf("got %v and error %v", c, err)
		}
	})
}
