package server

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/cmd/apnsbridge/story"
	"apnsbridge/gateway/provider"
	"apnsbridge/store/storetest"
)

// sendTo sends a notification to each token, and waits until APNs has answered
// them all.
func (w *world) sendTo(t *testing.T, tokens ...string) {
	t.Helper()
	before := w.Sim.Stats()
	code, stdout, stderr := w.Apnsbridge(strings.Join(tokens, "\n")+"\n", w.Credentials("send", "--gateway", w.Push, "--from", "-", "--quiet", "10ms")...)
	if code != servertest.OK {
		t.Fatalf("send: exit %d\n%s%s", code, stdout, stderr)
	}
	w.Await("all are answered", func(s apnssim.Stats) bool {
		return s.Accepted+s.Rejected >= before.Accepted+before.Rejected+len(tokens)
	})
}

// uninstall makes n dead devices.
func (w *world) uninstall(t *testing.T, n int) (tokens []string) {
	t.Helper()
	for i := range n {
		tokens = append(tokens, servertest.Token("0b", i))
		if err := w.Sim.SetDevice(apnssim.Device{Token: tokens[i], Topic: story.Topic, State: apnssim.Uninstalled, Since: listSince}); err != nil {
			t.Fatal(err)
		}
	}
	return tokens
}

// checkDead reads the list of dead devices, which must be want.
func (w *world) checkDead(t *testing.T, want []string) {
	t.Helper()
	code, stdout, stderr := w.Apnsbridge("", w.Credentials("feedback", "--feedback", w.Feedback)...)
	if code != servertest.OK {
		t.Fatalf("feedback: exit %d\n%s", code, stderr)
	}
	for _, token := range want {
		if !strings.Contains(stdout, token) {
			t.Errorf("%s is not on the list", token)
		}
	}
	if got := strings.Count(stdout, "\n"); got != len(want) {
		t.Errorf("got %d entries, want %d", got, len(want))
	}
}

// errorLines counts the lines of the log at level error with what in them.
func (w *world) errorLines(what string) (n int) {
	for line := range strings.Lines(w.Log.String()) {
		if strings.Contains(line, `"level":"error"`) && strings.Contains(line, what) {
			n++
		}
	}
	return n
}

// A store that is all zeros is set aside with a word to the operator, and
// everything works.
func TestServeDamagedStore(t *testing.T) {
	w := newWorld(t, apnssim.Scenario{})
	w.Stop()
	file := filepath.Join(w.Path("data"), "feedback.db")
	zeros := make([]byte, 64<<10)
	if err := os.WriteFile(file, zeros, 0o600); err != nil {
		t.Fatal(err)
	}
	w.Start()
	kept, err := w.service.store.Damaged()
	if err != nil || len(kept) != 1 || !strings.HasPrefix(kept[0], file+".damaged-") {
		t.Fatalf("got %q set aside and error %v, want %s.damaged-*", kept, err, file)
	}
	if b, err := os.ReadFile(kept[0]); err != nil || !bytes.Equal(b, zeros) {
		t.Errorf("%d bytes are kept, error %v, want the %d zeros", len(b), err, len(zeros))
	}
	if got := w.errorLines(kept[0]); got != 1 || w.errorLines("") != 1 {
		t.Errorf("got %d lines at level error that name it, want this one only:\n%s", got, w.Log.String())
	}
	if status, body := w.Ask(t, http.MethodGet, "/readyz", nil); status != http.StatusOK || body != fmt.Sprintf("ok\n%s was damaged and set aside: move it away when you have seen to it\n", kept[0]) {
		t.Errorf("/readyz: got %d and %q", status, body)
	}
	if got, want := w.Metrics(), "apnsbridge_store_damaged_files 1\n"; !strings.Contains(got, want) {
		t.Errorf("the metrics have no %q", want)
	}

	dead := w.uninstall(t, 3)
	w.sendTo(t, append(dead, servertest.Token("0c", 1))...)
	servertest.WaitFor(t, "the dead are listed", func() bool { return w.service.store.Stats().FeedbackEntries == len(dead) })
	w.Stop()
	w.Start()
	w.checkDead(t, dead)

	if err := os.Remove(kept[0]); err != nil {
		t.Fatal(err)
	}
	if status, body := w.Ask(t, http.MethodGet, "/readyz", nil); status != http.StatusOK || body != "ok\n" {
		t.Errorf("/readyz: got %d and %q, want 200 and ok", status, body)
	}
}

// A store that another process has is left to it.
func TestServeStoreInUse(t *testing.T) {
	w := newWorld(t, apnssim.Scenario{})
	code, _, stderr := w.Apnsbridge("", "serve", "--config", w.Path("apnsbridge.yaml"))
	if want := "feedback.db is in use by another process"; code != servertest.Failed || !strings.Contains(stderr, want) || strings.Count(stderr, "\n") != 1 {
		t.Errorf("got exit code %d and %q, want 1 and one line with %q", code, stderr, want)
	}
	if damaged, err := w.service.store.Damaged(); len(damaged) > 0 || err != nil {
		t.Errorf("got %q set aside and error %v, want none", damaged, err)
	}
}

// While the disk is full feedback waits, /readyz and a line of the log say why,
// and with space all goes on without a restart.
func TestServeDiskFull(t *testing.T) {
	t.Parallel()
	disk := storetest.NewDisk(t, 8<<20)
	w := newWorld(t, apnssim.Scenario{})
	w.Reconfigure("apps:", fmt.Sprintf("store: {path: %q}\nlimits: {retry_delay: 50ms}\napps:", filepath.Join(disk.Dir, "data")))
	w.Start()
	t.Cleanup(w.Stop) // before the disk goes

	disk.Fill()
	dead := w.uninstall(t, 3000)
	sent := make(chan string, 1)
	go func() { // the gateway ends the connection only when it has recorded all
		_, stdout, stderr := w.Apnsbridge(strings.Join(dead, "\n")+"\n", w.Credentials("send", "--gateway", w.Push, "--from", "-", "--quiet", "10ms")...)
		sent <- stdout + stderr
	}()
	const full = "the store cannot be written: no space left on device\n"
	servertest.WaitFor(t, "/readyz says that the disk is full", func() bool {
		status, body := w.Ask(t, http.MethodGet, "/readyz", nil)
		return status == http.StatusServiceUnavailable && body == full
	})
	failures := w.service.store.Stats().Failures
	servertest.WaitFor(t, "it is tried again", func() bool { return w.service.store.Stats().Failures > failures+5 })
	if got := w.service.bridge.Stats(); got.FeedbackWait == 0 && got.Unsettled == 0 {
		t.Errorf("got %+v, want feedback that waits", got)
	}
	if status, body := w.Ask(t, http.MethodGet, "/readyz", nil); status != http.StatusServiceUnavailable || body != full {
		t.Errorf("/readyz: got %d and %q", status, body)
	}
	// What needs no store goes on.
	w.sendTo(t, servertest.Token("0c", 1))

	disk.Free()
	if got := <-sent; !strings.Contains(got, " 0 refused") || strings.Contains(got, "did not end") {
		t.Errorf("send: %s", got)
	}
	servertest.WaitFor(t, "all is recorded", func() bool { return w.service.store.Stats().FeedbackEntries == len(dead) })
	servertest.WaitFor(t, "/readyz is well again", func() bool {
		status, body := w.Ask(t, http.MethodGet, "/readyz", nil)
		return status == http.StatusOK && body == "ok\n"
	})
	w.checkDead(t, dead)
	if got := w.errorLines("the feedback list cannot be written"); got == 0 || got > 2 {
		t.Errorf("got %d lines of the log that it cannot be written, want 1 a minute", got)
	}
	if !strings.Contains(w.Log.String(), "the feedback list can be written again") {
		t.Errorf("nothing says that it can be written again:\n%s", w.Log.String())
	}
}

// Bits turn bad on disk while notifications wait there, in a body, in a head and in
// the last of all: all others are delivered, and the operator is told until the file
// with the rest of them is gone.
func TestServeDamagedNotifications(t *testing.T) {
	const n = 200
	w := newWorld(t, apnssim.Scenario{Outage: &apnssim.Outage{Refuse: true}})
	conn, err := provider.Dial(t.Context(), w.Push, w.ClientTLS())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	numbered := func(i int) binproto.Notification {
		return binproto.Notification{Command: binproto.Enhanced, Token: servertest.Unhex(servertest.Token("c0", i)), Identifier: uint32(i),
			Payload: fmt.Appendf(nil, `{"aps":{"alert":"number %d"}}`, i), Expiry: uint32(time.Now().Add(time.Hour).Unix())}
	}
	var frames []byte
	for i := range n {
		one := numbered(i)
		frames = one.Append(frames)
	}
	if _, err := conn.Write(frames); err != nil {
		t.Fatal(err)
	}
	waiting := func() (all int) {
		for _, l := range w.service.store.Spool().Stats().Lines {
			all += l.Log + l.Queued
		}
		return all
	}
	servertest.WaitFor(t, "all are on disk only", func() bool { return waiting() == n && w.Metric(t, "apnsbridge_notifications_unsettled") == 0 })
	files, err := filepath.Glob(filepath.Join(w.Path("data"), "spool", "*.log"))
	if err != nil || len(files) != 1 {
		t.Fatalf("got %q and error %v, want a segment", files, err)
	}
	segment, err := os.OpenFile(files[0], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer segment.Close()
	b, err := io.ReadAll(segment)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range [][]byte{[]byte("number 100"), numbered(110).Token, numbered(n - 1).Token} {
		at := bytes.Index(b, part)
		if at < 0 {
			t.Fatalf("the segment has no %q", part)
		}
		if _, err := segment.WriteAt([]byte{b[at] ^ 1}, int64(at)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Sim.SetScenario(apnssim.Scenario{}); err != nil {
		t.Fatal(err)
	}
	w.Await("all others are delivered", func(s apnssim.Stats) bool { return s.Accepted == n-3 })
	servertest.WaitFor(t, "nothing waits", func() bool { return waiting() == 0 })
	kept := filepath.Join(w.Path("data"), "spool", "broken")
	want := "ok\nnotifications that waited on disk were damaged, and are lost: 3; what is left of them is in " + kept +
		": move it away when you have seen to it\n"
	if status, body := w.Ask(t, http.MethodGet, "/readyz", nil); status != http.StatusOK || body != want {
		t.Errorf("/readyz: got %d and %q, want %q", status, body, want)
	}
	if got, want := w.Metrics(), "apnsbridge_spool_broken_total 3\n"; !strings.Contains(got, want) {
		t.Errorf("the metrics have no %q", want)
	}
	if b, err := os.ReadFile(kept); err != nil || bytes.Count(b, []byte("number ")) < 2 {
		t.Errorf("got %q and error %v, want what is left of three notifications", b, err)
	}
	if err := os.Remove(kept); err != nil {
		t.Fatal(err)
	}
	if status, body := w.Ask(t, http.MethodGet, "/readyz", nil); status != http.StatusOK || body != "ok\n" {
		t.Errorf("/readyz: got %d and %q, want 200 and ok", status, body)
	}
}
