package server

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"apnsbridge/binproto"
	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
)

// sclient returns `openssl s_client` as a provider of the demo app.
func (w *world) sclient(args ...string) *exec.Cmd {
	return exec.Command(servertest.Foreign(w.T, "openssl"),
		append([]string{"s_client", "-connect", w.Push, "-CAfile", w.Path("ca.pem"), "-verify_return_error",
			"-cert", w.Path("client.pem"), "-key", w.Path("client-key.pem"), "-no_ign_eof"}, args...)...)
}

func simpleFrame(device string) string {
	n := binproto.Notification{Command: binproto.Simple, Token: servertest.Unhex(device), Payload: []byte(`{"aps":{}}`)}
	return string(n.Append(nil))
}

// awaitPush waits until APNs has received a push to the device.
func (w *world) awaitPush(device string) {
	w.T.Helper()
	servertest.WaitFor(w.T, "the notification arrives", func() bool {
		return slices.ContainsFunc(w.Sim.Received(0).Pushes, func(p apnssim.Push) bool { return p.Token == device })
	})
}

// oldTLSCases are what old libraries offer.
var oldTLSCases = []struct {
	args            string // with -cipher, SECLEVEL 0 is added
	version, cipher string // as in the metric, "" if not counted there
	remedy          string // in the log by default, "" if admitted
}{
	{"-tls1_3", "", "", ""},
	{"-tls1_2 -cipher DEFAULT", "", "", ""},
	{"-tls1_2 -cipher ECDHE-RSA-AES256-SHA", "", "", ""},
	{"-tls1_1 -cipher DEFAULT", "TLS 1.1", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "tls.min_version"},
	{"-tls1_1 -cipher AES128-SHA", "TLS 1.1", "TLS_RSA_WITH_AES_128_CBC_SHA", "tls.min_version"},
	{"-tls1 -cipher DEFAULT", "TLS 1.0", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "tls.min_version"},
	{"-tls1 -cipher AES128-SHA", "TLS 1.0", "TLS_RSA_WITH_AES_128_CBC_SHA", "tls.min_version"},
	{"-tls1_2 -cipher AES128-SHA", "TLS 1.2", "TLS_RSA_WITH_AES_128_CBC_SHA", "tls.legacy_ciphers"},
	{"-tls1_2 -cipher AES256-GCM-SHA384", "TLS 1.2", "TLS_RSA_WITH_AES_256_GCM_SHA384", "tls.legacy_ciphers"},
	{"-tls1_2 -cipher AES128-SHA256", "TLS 1.2", "TLS_RSA_WITH_AES_128_CBC_SHA256", "tls.legacy_ciphers"},
	{"-tls1_2 -cipher ECDHE-RSA-AES128-SHA256", "TLS 1.2", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", "tls.legacy_ciphers"},
	{"-tls1_2 -sigalgs RSA+SHA1 -client_sigalgs RSA+SHA1 -cipher DEFAULT", "", "", "tls.legacy_ciphers"},
}

// fields returns the words of args, adding what makes OpenSSL 3 behave like older versions.
func fields(args string) []string {
	words := strings.Fields(args)
	if i := slices.Index(words, "-cipher"); i >= 0 {
		words[i+1] += ":@SECLEVEL=0"
	}
	return words
}

// By default old TLS is refused with an alert, and the log names the setting that admits
// it.
func TestOldTLSByDefault(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	for _, tt := range oldTLSCases {
		t.Run(tt.args, func(t *testing.T) {
			w.Log.Reset()
			out, err := w.sclient(fields(tt.args)...).CombinedOutput()
			if tt.remedy == "" {
				if err != nil {
					t.Errorf("%v\n%s", err, out)
				}
				return
			}
			if err == nil || !strings.Contains(string(out), "alert") {
				t.Errorf("got %v, want an alert\n%s", err, out)
			}
			servertest.WaitFor(t, "the log names the setting", func() bool {
				return w.logged("handshake failed", func(fields map[string]any) bool {
					remedy, _ := fields["remedy"].(string)
					return strings.Contains(remedy, tt.remedy)
				}) != nil
			})
		})
	}
	if got := w.Metrics(); strings.Contains(got, "old_tls_connections_total{") {
		t.Error("old TLS is counted though none is admitted")
	}
}

// With the settings for old TLS everything delivers, the log warns of what TLS 1.0 does to
// an error packet, and each use is counted.
func TestOldTLSBySetting(t *testing.T) { // not parallel: admits SHA-1 in the whole process
	w := newWorld(t, apnssim.Scenario{})
	w.Reconfigure("key: server-key.pem", `key: server-key.pem, min_version: "1.0", legacy_ciphers: true`)
	w.Start()
	if !strings.Contains(w.Log.String(), "two records") {
		t.Error("the log does not warn about TLS 1.0")
	}
	count := regexp.MustCompile(`old_tls_connections_total{app="demo",cipher="(\S+)",ja3="[0-9a-f]{32}",version="([^"]+)"} (\d+)`)
	for i, tt := range oldTLSCases {
		t.Run(tt.args, func(t *testing.T) {
			before := count.FindAllString(w.Metrics(), -1)
			cmd := w.sclient(fields(tt.args)...)
			cmd.Stdin = strings.NewReader(simpleFrame(servertest.Token("0a", i)))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			w.awaitPush(servertest.Token("0a", i))
			after := count.FindAllString(w.Metrics(), -1)
			added := slices.DeleteFunc(after, func(line string) bool { return slices.Contains(before, line) })
			if tt.cipher == "" {
				if len(added) > 0 {
					t.Errorf("the connection is counted as %q, want it not counted", added)
				}
				return
			}
			if len(added) != 1 {
				t.Fatalf("the connection is counted %d times, want once: %q", len(added), added)
			}
			if got := count.FindStringSubmatch(added[0]); got[1] != tt.cipher || got[2] != tt.version {
				t.Errorf("counted %s with %s, want %s with %s", got[2], got[1], tt.version, tt.cipher)
			}
		})
	}
	if !regexp.MustCompile(`sha1_signatures_total [1-9]`).MatchString(w.Metrics()) {
		t.Error("no SHA-1 signature is counted")
	}
}

// OpenSSL resumes TLS 1.2 sessions by ticket; with TLS 1.3 it gets none.
func TestOpenSSLResumes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	session := w.Path("session")
	for i, want := range []string{"New, TLSv1.2", "Reused, TLSv1.2"} {
		args := []string{"-tls1_2", "-sess_out", session}
		if i > 0 {
			args = append(args, "-sess_in", session)
		}
		cmd := w.sclient(args...)
		cmd.Stdin = strings.NewReader(simpleFrame(servertest.Token("0b", i)))
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), want) {
			t.Errorf("connection %d: %v, want %q in\n%s", i, err, want, out)
		}
		w.awaitPush(servertest.Token("0b", i))
	}
	cmd := w.sclient("-tls1_3")
	cmd.Stdin = strings.NewReader(simpleFrame(servertest.Token("0b", 2)))
	if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "Post-Handshake New Session Ticket") {
		t.Errorf("TLS 1.3: %v, want no ticket in\n%s", err, out)
	}
	w.awaitPush(servertest.Token("0b", 2))
}

// OpenSSL sends KeyUpdates that request an answer, between frames.
func TestOpenSSLUpdatesKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	cmd := w.sclient("-tls1_3")
	stdin, said := converse(t, cmd)
	for i := range 5 {
		fmt.Fprintln(stdin, "K")
		if !hears(said, "KEYUPDATE") {
			t.Fatal("s_client ended")
		}
		io.WriteString(stdin, simpleFrame(servertest.Token("0c", i)))
		w.awaitPush(servertest.Token("0c", i))
	}
	stdin.Close()
	if hears(said, "KEYUPDATE") {
		t.Error("got more KeyUpdates than were requested")
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// converse starts cmd. said gets the lines of its standard error and is closed when it
// ends.
func converse(t *testing.T, cmd *exec.Cmd) (stdin io.WriteCloser, said <-chan string) {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(output); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	return stdin, lines
}

// hears reports whether a line with part in it comes before the end.
func hears(said <-chan string, part string) bool {
	for line := range said {
		if strings.Contains(line, part) {
			return true
		}
	}
	return false
}

// A client that asks for renegotiation gets an alert and the end of the connection. What it
// had sent before is delivered, and others are served.
func TestOpenSSLRenegotiates(t *testing.T) {
	t.Parallel()
	for i, args := range []string{"-tls1_2", "-tls1 -cipher DEFAULT"} {
		t.Run(args, func(t *testing.T) {
			w := newWorld(t, apnssim.Scenario{})
			w.Reconfigure("key: server-key.pem", `key: server-key.pem, min_version: "1.0"`)
			w.Start()
			cmd := w.sclient(fields(args)...)
			stdin, said := converse(t, cmd)
			io.WriteString(stdin, simpleFrame(servertest.Token("0d", 2*i)))
			w.awaitPush(servertest.Token("0d", 2*i))
			done := w.service.push.Stats().HandshakesDone
			fmt.Fprintln(stdin, "R")
			if !hears(said, "RENEGOTIATING") {
				t.Fatal("s_client does not ask for another handshake")
			}
			if !hears(said, "alert unexpected message") {
				t.Error("s_client does not report an alert")
			}
			if err := cmd.Wait(); err == nil {
				t.Error("s_client ended without an error")
			}
			if got := w.service.push.Stats().HandshakesDone; got != done {
				t.Errorf("%d more handshakes were done, want none", got-done)
			}
			cmd = w.sclient("-tls1_2")
			cmd.Stdin = strings.NewReader(simpleFrame(servertest.Token("0d", 2*i+1)))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("another client: %v\n%s", err, out)
			}
			w.awaitPush(servertest.Token("0d", 2*i+1))
		})
	}
}
