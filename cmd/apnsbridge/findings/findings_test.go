package findings

import (
	"slices"
	"testing"
)

// Each app's state is the worst finding on it, even if its name begins with another's, and apps
// in trouble come first.
func TestRate(t *testing.T) {
	f := &Findings{
		Problems: []Finding{{Setting: "apps.c, sandbox"}},
		Alarms:   []Finding{{Setting: "apps.b.credential"}, {Setting: "apps.c.credential"}},
		Warnings: []Finding{{Setting: "apps.a.b.dry_run"}, {Setting: "apps.b"}, {Setting: "limits.window"}},
	}
	for _, name := range []string{"a", "a.b", "b", "c", "d"} {
		f.Apps = append(f.Apps, App{Name: name})
	}
	f.Rate()
	var got []string
	for _, app := range f.Apps {
		got = append(got, app.Name+" "+app.State)
	}
	want := []string{"c problem", "b alarm", "a.b warning", "a ok", "d ok"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
