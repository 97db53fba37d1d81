package packaging_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"apnsbridge/cmd/apnsbridge/config"
)

// The sample is a valid configuration as it is, and has the same ports as the socket unit.
func TestSample(t *testing.T) {
	c, err := config.Load("apnsbridge.yaml")
	if err != nil {
		t.Fatal(err)
	}
	socket := read(t, "systemd/apnsbridge.socket")
	for _, listeners := range []config.Addresses{c.Gateway.Listen, c.Feedback.Listen} {
		for _, l := range listeners {
			if want := "\nListenStream=" + strings.TrimPrefix(l.Address, ":") + "\n"; !strings.Contains(socket, want) {
				t.Errorf("the socket unit has no %q", want)
			}
		}
	}
	unit := read(t, "systemd/apnsbridge.service")
	state := "\nStateDirectory=" + filepath.Base(c.Store.Path) + "\n"
	if filepath.Dir(c.Store.Path) != "/var/lib" || !strings.Contains(unit, state) {
		t.Errorf("the sample's store is in %s, which is not the unit's StateDirectory", c.Store.Path)
	}
	if want := " --config /etc/apnsbridge/apnsbridge.yaml\n"; !strings.Contains(unit, want) {
		t.Errorf("the unit has no %q", want)
	}
}

// systemd understands every line of the units.
func TestUnits(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	binary := filepath.Join(dir, "apnsbridge")
	write(t, binary, "#!/bin/sh\n", 0o755)
	for _, name := range []string{"apnsbridge.service", "apnsbridge.socket"} {
		unit := strings.ReplaceAll(read(t, "systemd/"+name), "/usr/local/bin/apnsbridge", binary)
		write(t, filepath.Join(dir, name), unit, 0o644)
	}
	cmd := exec.Command("systemd-analyze", "verify", "--man=no", filepath.Join(dir, "apnsbridge.service"),
		filepath.Join(dir, "apnsbridge.socket"))
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, dir) || strings.Contains(line, "apnsbridge.") {
			t.Errorf("%s", line)
		}
	}
	if err != nil && !t.Failed() {
		t.Skipf("systemd-analyze verify does not work here: %v\n%s", err, out)
	}
}

// Builds of one commit in different directories and with an empty Go cache give the same
// bytes: the binary, both packages and the SBOM. The checksums match them.
func TestReproducible(t *testing.T) {
	if !*long {
		t.Skip("builds everything anew: run it with -args -long")
	}
	head, err := exec.Command("git", "-C", top, "rev-parse", "HEAD").Output()
	if err != nil {
		t.Skipf("there is no commit to build: %v", err)
	}
	cache, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	sums := make([]string, 2)
	for i, name := range []string{"here", "somewhere/else"} {
		dir := filepath.Join(t.TempDir(), name)
		for _, args := range [][]string{
			{"clone", "--quiet", "--shared", "--no-checkout", filepath.Join(top), dir},
			{"-C", dir, "checkout", "--quiet", strings.TrimSpace(string(head))},
		} {
			if out, err := exec.Command("git", args...).CombinedOutput(); err != nil {
				t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
			}
		}
		var env []string
		if i == 1 {
			env = []string{"GOCACHE=" + t.TempDir(), "TOOLCACHE=" + strings.TrimSpace(string(cache)),
				"TZ=Asia/Kathmandu", "LC_ALL=C"}
		}
		out := filepath.Join(t.TempDir(), "release")
		runBuild(t, filepath.Join(dir, "cmd/apnsbridge/packaging"), "1.0.0", out, env...)
		sums[i] = read(t, filepath.Join(out, "SHA256SUMS"))
		if i == 0 {
			expectRelease(t, out, sums[0])
		}
	}
	if sums[0] != sums[1] {
		t.Errorf("two builds of %s differ:\n%s\n%s", head, sums[0], sums[1])
	}
}

// expectRelease checks the results of build: each file has the right checksum, and the SBOM
// names what the binary is made of.
func expectRelease(t *testing.T, dir, sums string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(sums, "\n"); lines != len(files)-1 || lines != 5 {
		t.Errorf("%d files, and %d in SHA256SUMS; want binary, .deb, .rpm, SBOM and licenses:\n%s", len(files), lines, sums)
	}
	for line := range strings.Lines(sums) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		if got := sha256.Sum256([]byte(read(t, filepath.Join(dir, name)))); hex.EncodeToString(got[:]) != sum {
			t.Errorf("%s does not have the checksum in SHA256SUMS", name)
		}
	}
	var bom struct {
		Metadata struct {
			Component struct{ Name, Version string }
		}
		Components []struct{ Name, Version string }
	}
	text := read(t, filepath.Join(dir, "apnsbridge_1.0.0_linux_"+runtime.GOARCH+".cdx.json"))
	if err := json.Unmarshal([]byte(text), &bom); err != nil {
		t.Fatal(err)
	}
	if got := bom.Metadata.Component; got.Name != "apnsbridge" || got.Version != "v1.0.0" {
		t.Errorf("the SBOM is for %+v, want apnsbridge v1.0.0", got)
	}
	for _, want := range []string{"std", "github.com/panjf2000/gnet/v2", "go.etcd.io/bbolt"} {
		found := false
		for _, c := range bom.Components {
			found = found || c.Name == want && c.Version != ""
		}
		if !found {
			t.Errorf("the SBOM does not name %s", want)
		}
	}
}
