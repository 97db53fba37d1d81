//go:build unix

package endtoend

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"apnsbridge/cmd/apnsbridge/servertest"
)

var (
	shellBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")
	localPort  = regexp.MustCompile(`127\.0\.0\.1:\d+`)
)

// The commands of docs/fleet.md do what the document says, one after the other.
func TestFleetDocument(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"bash", "createdb", "sed"} {
		servertest.Foreign(t, name)
	}
	server := ownPostgres(t)
	document, err := os.ReadFile("../docs/fleet.md")
	if err != nil {
		t.Fatal(err)
	}
	script := "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\n"
	for _, block := range shellBlock.FindAllSubmatch(document, -1) {
		script += string(block[1])
	}
	// Ports that the system gives to no other process, instead of those in the document.
	w := &world{World: &servertest.World{T: t}}
	ports := make(map[string]string)
	script = localPort.ReplaceAllStringFunc(script, func(address string) string {
		if ports[address] == "" {
			ports[address] = w.Hold()
		}
		return ports[address]
	})
	for _, pair := range [][2]string{{"2195", "3195"}, {"2196", "3196"}, {"9195", "9196"}, {"2194", "3194"}} {
		port := func(old string) string {
			if ports["127.0.0.1:"+old] == "" {
				ports["127.0.0.1:"+old] = w.Hold()
			}
			_, number, _ := strings.Cut(ports["127.0.0.1:"+old], ":")
			return number
		}
		old, with := fmt.Sprintf("s/%s/%s/", pair[0], pair[1]), fmt.Sprintf("s/%s/%s/", port(pair[0]), port(pair[1]))
		script = strings.Replace(script, old, with, 1)
	}
	dir := t.TempDir()
	if err := os.Symlink(servertest.Program(t).Path, filepath.Join(dir, "apnsbridge")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bash", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "PGHOST="+server.Dir, "PGUSER=postgres")
	out, err := cmd.CombinedOutput()
	if err != nil {
		for _, name := range []string{"gw1.log", "gw2.log", "sim.log"} {
			text, _ := os.ReadFile(filepath.Join(dir, name))
			t.Logf("%s:\n%s", name, text)
		}
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"the schema is there", "demo lives on gw2", "100 sent"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the commands do not say %q:\n%s", want, out)
		}
	}
}
