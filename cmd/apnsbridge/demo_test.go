package main

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"apnsbridge/cmd/apnsbridge/servertest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// passing matches what differs from run to run: ports, and what contains the time.
var passing = regexp.MustCompile(`127\.0\.0\.1:\d+|[0-9a-f]{8}( +expiry)|[0-9a-f]{8}(0020[0-9a-f]{4}…)`)

// demo tells exactly the story of the golden file.
func TestDemoTellsTheStory(t *testing.T) {
	t.Parallel()
	out := &servertest.Buffer{}
	if code := run([]string{"demo"}, streams{in: strings.NewReader(""), out: out, err: out}); code != exitOK {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	got := passing.ReplaceAllString(out.String(), "********$1$2")
	const golden = "testdata/demo.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the story has changed; -args -update writes %s anew if that is meant\n%s", golden,
			firstDifference(got, string(want)))
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return "got  " + g[i] + "\nwant " + w[i]
		}
	}
	return "one is longer than the other"
}
