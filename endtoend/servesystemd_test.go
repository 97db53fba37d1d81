package endtoend

import (
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
)

// serve tells systemd when it is ready, that it reloads, whether that worked, and that it
// stops. SIGHUP ends it at no time.
func TestServeUnderSystemd(t *testing.T) {
	m := servertest.ListenAsManager(t)
	t.Setenv("NOTIFY_SOCKET", m.Path)
	w := newWorld(t, apnssim.Scenario{})
	p := startProcess(t, w)
	conn := p.dial(w)
	expect := func(want string) {
		t.Helper()
		got := m.Hears(30 * time.Second)
		if word, clock, ok := strings.Cut(got, "\nMONOTONIC_USEC="); ok {
			if _, err := strconv.ParseUint(strings.TrimSpace(clock), 10, 64); err != nil {
				t.Errorf("the clock is %q", clock)
			}
			got = word + " and when"
		}
		if got != want {
			t.Fatalf("systemd hears %q, want %q", got, want)
		}
	}
	hangup := func() {
		t.Helper()
		if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		expect("RELOADING=1 and when")
	}
	expect("STATUS=starting")
	expect("READY=1")
	hangup()
	expect("READY=1\nSTATUS=reloaded")
	w.Amend("apps:", "appz:")
	hangup()
	expect("READY=1\nSTATUS=reload refused: everything stays as it was")
	w.Send(0, conn)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	expect("STOPPING=1")
	conn.Close()
	if err := p.wait(); err != nil {
		t.Errorf("%v\n%s", err, strings.Join(p.stdlog, "\n"))
	}
	if log := strings.Join(p.stdlog, "\n"); !strings.Contains(log, `unknown key \"appz\"`) {
		t.Errorf("the log does not say why the file was refused:\n%s", log)
	}
}
