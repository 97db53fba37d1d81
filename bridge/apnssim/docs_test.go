package apnssim_test

import (
	"os"
	"strings"
	"testing"
)

// The test that docs/simulator.md shows is one of ours.
func TestDocumentedTest(t *testing.T) {
	own, err := os.ReadFile("clients_test.go")
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile("../../docs/simulator.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(document), "```go\n")
	block, _, found := strings.Cut(block, "```")
	if !found || !strings.Contains(string(own), block) {
		t.Errorf("docs/simulator.md shows a test that is not in clients_test.go:\n%s", block)
	}
}
