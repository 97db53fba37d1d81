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

	"github.com/rs/zerolog"

	"apnsbridge/binproto"
	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/findings"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/gateway/provider"
	"apnsbridge/store/storetest"
)

// A store that is all zeros is set aside, the operator is told, and everything
// works.
func TestServeDamagedStore(t *testing.T) {
	t.Parallel()
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
	if status, body := w.Ask(t, http.MethodGet, "/readyz", nil); status != http.StatusOK ||
		body != fmt.Sprintf("ok\n%s was damaged and set aside: move it away when you have seen to it\n", kept[0]) {
		t.Errorf("/readyz: got %d and %q", status, body)
	}
	if got, want := w.Metrics(), "apnsbridge_store_damaged_files 1\n"; !strings.Contains(got, want) {
		t.Errorf("the metrics have no %q", want)
	}

	dead := w.uninstall(t, 3)
	w.sendTo(t, append(dead, servertest.Token("0c", 1))...)
	servertest.WaitFor(t, "the dead are listed",
		func() bool { return w.service.store.Stats().FeedbackEntries == len(dead) })
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

// A store that another process uses is left alone.
func TestServeStoreInUse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	assembled, err := Assemble(w.service.current.Load().config)
	if err != nil {
		t.Fatal(err)
	}
	_, err = New(assembled, Options{Log: zerolog.Nop()})
	if want := "feedback.db is in use by another process"; err == nil || !strings.Contains(err.Error(), want) ||
		strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v, want one line with %q", err, want)
	}
	if damaged, err := w.service.store.Damaged(); len(damaged) > 0 || err != nil {
		t.Errorf("got %q set aside and error %v, want none", damaged, err)
	}
}

// While the disk is full feedback waits, and /readyz and the log say why; once there is space
// everything goes on without a restart.
func TestServeDiskFull(t *testing.T) {
	t.Parallel()
	disk := storetest.NewDisk(t, 8<<20)
	w := newWorld(t, apnssim.Scenario{})
	w.Reconfigure("apps:", fmt.Sprintf("store: {path: %q}\nlimits: {retry_delay: 50ms}\napps:",
		filepath.Join(disk.Dir, "data")))
	w.Start()
	t.Cleanup(w.Stop) // before the disk is unmounted
	w.service.poll = 5 * time.Millisecond
	go w.service.keepUp(t.Context(), nil, &systemd{})

	disk.Fill()
	dead := w.uninstall(t, 3000)
	sent := make(chan error, 1)
	go func() { // does not end before the gateway has recorded everything
		report, err := w.provide(dead...)
		if err == nil && report.Failed > 0 {
			err = fmt.Errorf("%d are refused", report.Failed)
		}
		sent <- err
	}()
	const unwritten = "the store cannot be written"
	remedy := "no space left on device: make room on the disk of " + filepath.Join(disk.Dir, "data")
	full := unwritten + ": " + remedy + "\n"
	servertest.WaitFor(t, "/readyz says that the disk is full", func() bool {
		status, body := w.Ask(t, http.MethodGet, "/readyz", nil)
		return status == http.StatusServiceUnavailable && body == full
	})
	if _, words := w.showPage(t); !strings.Contains(words, "To see to At once "+strings.TrimSpace(full)) {
		t.Errorf("the page does not say that the store is full: %s", words)
	}
	if got := w.alarms(t); len(got) != 1 || got[0] != (findings.Finding{Setting: "store.path",
		Text: strings.TrimSpace(full)}) {
		t.Errorf("check says %+v, want %q", got, full)
	}
	failures := w.service.store.Stats().Failures
	servertest.WaitFor(t, "it is tried again", func() bool { return w.service.store.Stats().Failures > failures+5 })
	if got := w.service.bridge.Stats(); got.FeedbackWait == 0 && got.Unsettled == 0 {
		t.Errorf("got %+v, want waiting feedback", got)
	}
	if status, body := w.Ask(t, http.MethodGet, "/readyz", nil); status != http.StatusServiceUnavailable || body != full {
		t.Errorf("/readyz: got %d and %q", status, body)
	}
	// Notifications that do not need the store are delivered.
	w.sendTo(t, servertest.Token("0c", 1))

	disk.Free()
	if err := <-sent; err != nil {
		t.Errorf("send: %v", err)
	}
	servertest.WaitFor(t, "all is recorded", func() bool { return w.service.store.Stats().FeedbackEntries == len(dead) })
	servertest.WaitFor(t, "/readyz is well again", func() bool {
		status, body := w.Ask(t, http.MethodGet, "/readyz", nil)
		return status == http.StatusOK && body == "ok\n"
	})
	if got := w.alarms(t); len(got) != 0 {
		t.Errorf("check says %+v though there is room again", got)
	}
	w.checkDead(t, dead)
	if got := w.errorLines("the feedback list cannot be written"); got == 0 || got > 2 {
		t.Errorf("got %d log lines that the list cannot be written, want 1 a minute", got)
	}
	for _, over := range []string{"the feedback list can be written again", "the store can be written again"} {
		servertest.WaitFor(t, over, func() bool { return strings.Contains(w.Log.String(), over) })
	}
	for line := range strings.Lines(w.Log.String()) {
		if strings.Contains(line, unwritten) && !strings.Contains(line, remedy) {
			t.Errorf("a log line does not say what to do: %s", line)
		}
	}
	if w.errorLines(unwritten) == 0 {
		t.Errorf("the log does not say that %s:\n%s", unwritten, w.Log.String())
	}
}

// Bits flip on disk while notifications wait there: in a body, in a head and in the last of
// them. All other notifications are delivered, and the operator is told until the file with
// what is left of the damaged ones is gone.
func TestServeDamagedNotifications(t *testing.T) {
	t.Parallel()
	const n = 200
	w := newWorld(t, apnssim.Scenario{Outage: &apnssim.Outage{Refuse: true}})
	conn, err := provider.Dial(t.Context(), w.Push, w.ClientTLS())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	numbered := func(i int) binproto.Notification {
		return binproto.Notification{Command: binproto.Enhanced, Token: servertest.Unhex(servertest.Token("c0", i)),
			Identifier: uint32(i),
			Payload:    fmt.Appendf(nil, `{"aps":{"alert":"number %d"}}`, i), Expiry: uint32(time.Now().Add(time.Hour).Unix())}
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
	servertest.WaitFor(t, "all are on disk only", func() bool {
		return waiting() == n &&
			w.Metric(t, "apnsbridge_notifications_unsettled") == 0
	})
	files, err := filepath.Glob(filepath.Join(w.Path("data"), "spool", "*.log"))
	if err != nil || len(files) != 1 {
		t.Fatalf("got %q and error %v, want one segment", files, err)
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
