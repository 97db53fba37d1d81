package packaging_test

import (
	"compress/gzip"
	"debug/buildinfo"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// The Debian package is installed in a root directory of its own, configured, started by a
// simple supervisor, upgraded while a provider is connected, removed, and purged. The
// connection survives the upgrade, the feedback list survives the restart after it, and the
// data survives the removal.
func TestInstall(t *testing.T) {
	for _, name := range []string{"dpkg", "systemd-sysusers"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skip(err)
		}
	}
	if os.Getuid() != 0 {
		if _, err := exec.LookPath("fakeroot"); err != nil {
			t.Skipf("dpkg wants to be root: %v", err)
		}
	}
	old, raised := build(t, "1.0.0"), build(t, "1.1.0")
	h := newHost(t, t.TempDir())
	write(t, filepath.Join(h.root, "var/lib/dpkg/status"), "", 0o644)
	for _, dir := range []string{"var/lib/dpkg/info", "var/lib/dpkg/updates", "etc"} {
		if err := os.MkdirAll(filepath.Join(h.root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}

	h.dpkg("-i", h.deb(old, "1.0.0"))
	h.expectVersion("1.0.0")
	h.expectLicenses()
	gid := strings.Split(h.line("etc/group", "apnsbridge:"), ":")[2]
	if uid := strings.Split(h.line("etc/passwd", "apnsbridge:"), ":")[2]; uid == "0" || gid == "0" {
		t.Errorf("the service's user is %s and its group %s, want neither to be root", uid, gid)
	}
	h.expectMode("etc/apnsbridge", 0o750)
	h.expectMode("etc/apnsbridge/apnsbridge.yaml", 0o640)
	h.expectMode("var/lib/apnsbridge", 0o700)
	for _, path := range []string{
		"usr/lib/systemd/system/apnsbridge.service", "usr/lib/systemd/system/apnsbridge.socket",
		"usr/lib/sysusers.d/apnsbridge.conf",
		"usr/share/man/man1/apnsbridge.1.gz", "usr/share/bash-completion/completions/apnsbridge",
		"usr/share/zsh/vendor-completions/_apnsbridge", "usr/share/fish/vendor_completions.d/apnsbridge.fish",
		"usr/share/doc/apnsbridge/README.md", "usr/share/doc/apnsbridge/docs/configuration.md",
		"usr/share/doc/apnsbridge/docs/monitoring/alerts.yml",
	} {
		if !exists(filepath.Join(h.root, path)) {
			t.Errorf("%s is not installed", path)
		}
	}
	unit := read(t, filepath.Join(h.root, "usr/lib/systemd/system/apnsbridge.service"))
	if !strings.Contains(unit, "\nExecStart=/usr/bin/apnsbridge serve ") {
		t.Errorf("the unit starts another binary:\n%s", unit)
	}

	if got := h.manual(); !strings.Contains(got, "2001-09-09") {
		t.Errorf("the manual page does not have the date of SOURCE_DATE_EPOCH:\n%.200s", got)
	}

	h.configure()
	configured := read(t, h.config)
	h.run("check", "--config", h.config)
	gateway := supervise(t, h.binary, "serve", "--config", h.config)
	h.awaitVersion("1.0.0")
	h.run("send", "--gateway", h.push, "--cert", h.etc("pki/client.pem"), "--key", h.etc("pki/client-key.pem"),
		"--ca", h.etc("pki/ca.pem"), "--token", "dead"+strings.Repeat("01", 30))
	conn := h.dial()
	h.deliver(conn, 1)

	before := gateway.pid()
	h.dpkg("-i", h.deb(raised, "1.1.0"))
	h.expectVersion("1.1.0")
	if got := read(t, h.config); got != configured {
		t.Errorf("the upgrade has changed the configuration to\n%s", got)
	}
	h.deliver(conn, 2)
	if got := gateway.pid(); got != before {
		t.Errorf("the upgrade has ended process %d", before)
	}
	h.awaitVersion("1.0.0")

	conn.Close()
	gateway.restart()
	h.awaitVersion("1.1.0")
	listed := h.run("feedback", "--feedback", h.feedback, "--cert", h.etc("pki/client.pem"), "--key",
		h.etc("pki/client-key.pem"), "--ca", h.etc("pki/ca.pem"))
	if !strings.Contains(listed, "dead0101") {
		t.Errorf("after the upgrade the feedback list is %q, want dead0101 on it", listed)
	}

	gateway.stop()
	data := filepath.Join(h.root, "var/lib/apnsbridge/feedback.db")
	h.dpkg("-r", "apnsbridge")
	if exists(h.binary) || !exists(data) || read(t, h.config) != configured {
		t.Errorf("after the removal: binary %v, data %v; want only the data and the configuration", exists(h.binary),
			exists(data))
	}
	h.dpkg("-P", "apnsbridge")
	if exists(data) || exists(h.config) || !exists(h.etc("AuthKey_DEVELOPER.p8")) {
		t.Errorf("after the purge: data %v, configuration %v, key %v; want only the key", exists(data),
			exists(h.config), exists(h.etc("AuthKey_DEVELOPER.p8")))
	}
}

func (h *host) deb(dir, version string) string {
	return filepath.Join(dir, fmt.Sprintf("apnsbridge_%s_%s.deb", version, runtime.GOARCH))
}

// manual returns the text of the manual page.
func (h *host) manual() string {
	h.t.Helper()
	f, err := os.Open(filepath.Join(h.root, "usr/share/man/man1/apnsbridge.1.gz"))
	if err != nil {
		h.t.Fatal(err)
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		h.t.Fatal(err)
	}
	text, err := io.ReadAll(unzipped)
	if err != nil {
		h.t.Fatal(err)
	}
	return string(text)
}

// dpkg runs dpkg without a terminal, so that it fails if it asks anything.
func (h *host) dpkg(args ...string) {
	h.t.Helper()
	args = append([]string{"dpkg", "--root=" + h.root, "--log=/dev/null", "--force-script-chrootless"}, args...)
	if os.Getuid() != 0 {
		args = append([]string{"fakeroot"}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	if out, err := cmd.CombinedOutput(); err != nil {
		h.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func (h *host) expectVersion(want string) {
	h.t.Helper()
	if got := h.run("version"); !strings.HasPrefix(got, "apnsbridge "+want) {
		h.t.Errorf("the installed version is %q, want %s", got, want)
	}
}

// line returns the line of a file that begins with begins.
func (h *host) line(path, begins string) string {
	h.t.Helper()
	for line := range strings.Lines(read(h.t, filepath.Join(h.root, path))) {
		if strings.HasPrefix(line, begins) {
			return strings.TrimSpace(line)
		}
	}
	h.t.Fatalf("/%s has no line that begins with %s", path, begins)
	return ""
}

// expectLicenses checks that the licence of each module in the binary is installed.
func (h *host) expectLicenses() {
	h.t.Helper()
	info, err := buildinfo.ReadFile(h.binary)
	if err != nil || len(info.Deps) == 0 {
		h.t.Fatalf("%s: %v", h.binary, err)
	}
	text := read(h.t, filepath.Join(h.root, "usr/share/doc/apnsbridge/LICENSES"))
	for _, module := range info.Deps {
		_, after, ok := strings.Cut(text, "\n\n"+module.Path+" "+module.Version+"\n")
		if license, _, _ := strings.Cut(after, "\n\n\n"); !ok || len(license) < 200 {
			h.t.Errorf("the licence of %s %s is %q", module.Path, module.Version, license)
		}
	}
}

func (h *host) expectMode(path string, want os.FileMode) {
	h.t.Helper()
	info, err := os.Stat(filepath.Join(h.root, path))
	if err != nil {
		h.t.Error(err)
	} else if info.Mode().Perm() != want {
		h.t.Errorf("/%s has mode %o, want %o", path, info.Mode().Perm(), want)
	}
}
