package endtoend

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
)

// apnVersions are those of the npm package apn that speak the binary interface and are
// still in use. Each is installed once for all tests.
var apnVersions = map[string]func() (string, error){
	"apn@1.6.2": npmModules("apn@1.6.2"), "apn@1.7.5": npmModules("apn@1.7.5"), latestAPN: npmModules(latestAPN),
}

const latestAPN = "apn@1.7.8"

func npmModules(module string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		dir := filepath.Join(servertest.Scratch, "npm", module)
		cmd := exec.Command("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", dir, module)
		if out, err := cmd.CombinedOutput(); err != nil {
			return dir, fmt.Errorf("npm install %s: %w: %s", module, err, out)
		}
		return dir, nil
	})
}

// nodeAPN is a process that sends with the npm package apn.
type nodeAPN struct {
	t      *testing.T
	stdin  io.WriteCloser
	events chan nodeEvent
}

// nodeEvent is something that the library has reported.
type nodeEvent struct {
	Event, Token, Text string
	Status             int
}

func startNodeAPN(t *testing.T, w *world, version string) *nodeAPN {
	t.Helper()
	node := servertest.Foreign(t, "node")
	servertest.Foreign(t, "npm")
	modules, err := apnVersions[version]()
	if err != nil {
		t.Skip(err)
	}
	_, port, _ := strings.Cut(w.Push, ":")
	options := fmt.Sprintf(`{"port": %s, "cert": %q, "key": %q, "ca": %q, "cacheLength": 5000}`, port,
		w.Path("client.pem"), w.Path("client-key.pem"), w.Path("ca.pem"))
	cmd := exec.Command(node, "--no-deprecation", "testdata/foreign/apn.js",
		filepath.Join(modules, "node_modules", "apn"), options)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n := &nodeAPN{t: t, stdin: stdin, events: make(chan nodeEvent, 100_000)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(n.events)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			var e nodeEvent
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				t.Errorf("apn.js: %q: %v", lines.Text(), err)
			}
			n.events <- e
		}
	}()
	t.Cleanup(func() {
		stdin.Close()
		<-read
		if err := cmd.Wait(); err != nil {
			t.Errorf("apn.js: %v", err)
		}
	})
	return n
}

// await gives the next event of a kind, and fails the test on an error.
func (n *nodeAPN) await(kind string) nodeEvent {
	n.t.Helper()
	for e := range n.events {
		switch e.Event {
		case kind:
			return e
		case "error", "socketError":
			n.t.Errorf("apn.js: %s: %s", e.Event, e.Text)
		}
	}
	n.t.Fatalf("apn.js ended without %s", kind)
	return nodeEvent{}
}

// The library apn 1.7.8 sends 50 notifications with a bad token in the middle: it reports
// status 8 for that one, and all others arrive once.
func TestNodeAPN(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	n := startNodeAPN(t, w, latestAPN)
	bad := servertest.Token("bad0", 25)
	for i := range 50 {
		if i == 25 {
			fmt.Fprintln(n.stdin, bad, "bad")
			continue
		}
		fmt.Fprintf(n.stdin, "%s alert-%d\n", servertest.Token("0e", i), i)
	}
	if e := n.await("transmissionError"); e.Status != 8 || e.Token != bad {
		t.Errorf("the library reports %+v, want status 8 for %s", e, bad)
	}
	w.Await("all others arrive", func(s apnssim.Stats) bool { return s.Accepted >= 49 })
	if s := w.Sim.Stats(); s.Accepted != 49 || s.Duplicates != 0 {
		t.Errorf("got %d pushes and %d duplicates, want 49 and none", s.Accepted, s.Duplicates)
	}
}

// php runs the tutorial's sender to its end and gives what it printed.
func (w *world) php(mode, notifications string) string {
	w.T.Helper()
	php := servertest.Foreign(w.T, "php")
	both := w.Write("both.pem", append(append([]byte{}, servertest.PKI().Client.CertPEM...), servertest.PKI().Client.KeyPEM...))
	cmd := exec.Command(php, "testdata/foreign/tutorial.php", w.Push, both, w.Path("ca.pem"), mode,
		fmt.Sprint(strings.Count(notifications, "bad0")))
	cmd.Stdin = strings.NewReader(notifications)
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.T.Fatalf("tutorial.php: %v\n%s", err, out)
	}
	return string(out)
}

func TestPHPTutorial(t *testing.T) {
	for _, mode := range []string{"resend", "end", "never"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel() // the script listens for seconds
			w := newWorld(t, apnssim.Scenario{})
			var lines strings.Builder
			for i := range 50 {
				fmt.Fprintf(&lines, "%s alert-%d\n", servertest.Token("0f", i), i)
			}
			if out := w.php(mode, lines.String()); !strings.HasSuffix(out, "sent\n") {
				t.Errorf("got %q", out)
			}
			w.Await("all arrive", func(s apnssim.Stats) bool { return s.Accepted >= 50 })
			if s := w.Sim.Stats(); s.Duplicates != 0 {
				t.Errorf("got %d duplicates", s.Duplicates)
			}
		})
	}
}

// A frame piped into `openssl s_client` arrives, with each version of TLS that
// the gateway speaks by default.
func TestOpenSSL(t *testing.T) {
	openssl := servertest.Foreign(t, "openssl")
	w := newWorld(t, apnssim.Scenario{})
	for i, version := range []string{"-tls1_2", "-tls1_3"} {
		frame := fmt.Sprintf("\x00\x00\x20%s\x00\x0d{\"aps\":{%d:1}}", strings.Repeat(string(rune('a'+i)), 32), i)
		cmd := exec.Command(openssl, "s_client", "-quiet", "-no_ign_eof", version, "-connect", w.Push,
			"-cert", w.Path("client.pem"), "-key", w.Path("client-key.pem"), "-CAfile", w.Path("ca.pem"), "-verify_return_error")
		cmd.Stdin = strings.NewReader(frame)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("openssl s_client %s: %v\n%s", version, err, out)
		}
		w.Await(version, func(s apnssim.Stats) bool { return s.Accepted == i+1 })
	}
}
