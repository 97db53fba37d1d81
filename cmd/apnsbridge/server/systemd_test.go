package server

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
)

// manager is systemd's end of the notification socket.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
	path string
}

func listenAsManager(t *testing.T) *manager {
	t.Helper()
	dir, err := os.MkdirTemp("", "") // t.TempDir may be too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	m := &manager{t: t, path: filepath.Join(dir, "notify")}
	if m.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.conn.Close() })
	return m
}

// hears returns the next message, or "" if none comes in time.
func (m *manager) hears(patience time.Duration) string {
	m.t.Helper()
	m.conn.SetReadDeadline(time.Now().Add(patience))
	b := make([]byte, 4096)
	n, err := m.conn.Read(b)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		m.t.Fatal(err)
	}
	return string(b[:n])
}

// started puts into the environment what systemd does, and hears the service begin.
func (m *manager) started(watchdog, pid string) *systemd {
	m.t.Helper()
	m.t.Setenv("NOTIFY_SOCKET", m.path)
	m.t.Setenv("WATCHDOG_USEC", watchdog)
	m.t.Setenv("WATCHDOG_PID", pid)
	told, _ := newSystemd()
	if got := m.hears(30 * time.Second); got != "STATUS=starting" {
		m.t.Fatalf("systemd hears %q", got)
	}
	return told
}

// serve as a process tells systemd when it is ready, that it reloads, whether
// it did, and that it stops. SIGHUP during all of it ends nothing.
func TestServeUnderSystemd(t *testing.T) {
	m := listenAsManager(t)
	t.Setenv("NOTIFY_SOCKET", m.path)
	w := newWorld(t, apnssim.Scenario{})
	p := startProcess(t, w)
	conn := p.dial(w)
	expect := func(want string) {
		t.Helper()
		got := m.hears(30 * time.Second)
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

// The watchdog gets its sign of life while the gateway answers itself, and none
// while it does not.
func TestWatchdog(t *testing.T) {
	m := listenAsManager(t)
	told := m.started("30000", "") // 30 ms
	w := newWorld(t, apnssim.Scenario{})
	w.Send(0, w.Dial(w.ClientTLS())) // so that there is an event loop to ask
	ctx, cancel := context.WithCancel(t.Context())
	dead, complaints := make(chan struct{}), make(chan error, 1)
	alive := func(ctx context.Context) error {
		select {
		case <-dead:
			return errors.New("dead")
		default:
			return w.service.alive(context.WithoutCancel(ctx)) // however slow the machine is
		}
	}
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		told.watch(ctx, alive, func(err error) {
			select {
			case complaints <- err:
			default:
			}
		})
	}()
	defer func() {
		cancel()
		<-watched
	}()
	for range 3 {
		if got := m.hears(30 * time.Second); got != "WATCHDOG=1" {
			t.Fatalf("systemd hears %q, want a sign of life", got)
		}
	}
	close(dead)
	if err := <-complaints; err.Error() != "dead" {
		t.Errorf("got complaint %v", err)
	}
	for m.hears(time.Millisecond) != "" { // signs from before
	}
	if got := m.hears(100 * time.Millisecond); got != "" {
		t.Errorf("systemd hears %q from a service that does not answer itself", got)
	}
}

// A service that was not started by systemd, or whose watchdog is for another
// process, keeps silent.
func TestSystemdEnvironment(t *testing.T) {
	m := listenAsManager(t)
	for _, tt := range []struct {
		name, socket, usec, pid string
		tells, failed           bool
		watchdog                time.Duration
	}{
		{"none", "", "", "", false, false, 0},
		{"no watchdog", m.path, "", "", true, false, 0},
		{"a watchdog", m.path, "30000000", "", true, false, 30 * time.Second},
		{"ours", m.path, "30000000", strconv.Itoa(os.Getpid()), true, false, 30 * time.Second},
		{"another's watchdog", m.path, "30000000", "1", true, false, 0},
		{"no number", m.path, "soon", "", true, true, 0},
		{"less than nothing", m.path, "-1", "", true, true, 0},
		{"nobody there", m.path + "-gone", "1", "", false, true, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("NOTIFY_SOCKET", tt.socket)
			t.Setenv("WATCHDOG_USEC", tt.usec)
			t.Setenv("WATCHDOG_PID", tt.pid)
			told, err := newSystemd()
			if (err != nil) != tt.failed || told.watchdog != tt.watchdog {
				t.Fatalf("got watchdog %v, want %v, and error %v", told.watchdog, tt.watchdog, err)
			}
			told.watch(expired(t), nil, nil)
			told.tell("READY=1", "STATUS=x")
			if tt.tells {
				for _, want := range []string{"STATUS=starting", "READY=1\nSTATUS=x"} {
					if got := m.hears(time.Second); got != want {
						t.Errorf("systemd hears %q, want %q", got, want)
					}
				}
			}
			if got := m.hears(10 * time.Millisecond); got != "" {
				t.Errorf("systemd hears %q besides", got)
			}
		})
	}
}

// expired is a context that is over.
func expired(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
