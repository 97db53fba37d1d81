package server

import (
	"context"
	"errors"
	"os"
	"strconv"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
)

// The watchdog gets signs of life as long as the gateway's own check of itself succeeds,
// and none otherwise.
func TestWatchdog(t *testing.T) {
	m := servertest.ListenAsManager(t)
	told := started(m, "30000", "") // 30 ms
	w := newWorld(t, apnssim.Scenario{})
	w.Send(0, w.Dial(w.ClientTLS())) // so that there is an event loop to check
	ctx, cancel := context.WithCancel(t.Context())
	dead, complaints := make(chan struct{}), make(chan error, 1)
	alive := func(ctx context.Context) error {
		select {
		case <-dead:
			return errors.New("dead")
		default:
			return w.service.alive(context.WithoutCancel(ctx)) // without a deadline, for slow machines
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
		if got := m.Hears(30 * time.Second); got != "WATCHDOG=1" {
			t.Fatalf("systemd got %q, want a sign of life", got)
		}
	}
	close(dead)
	if err := <-complaints; err.Error() != "dead" {
		t.Errorf("got complaint %v, want dead", err)
	}
	for m.Hears(time.Millisecond) != "" { // skips earlier signs
	}
	if got := m.Hears(100 * time.Millisecond); got != "" {
		t.Errorf("systemd got %q from a service that is not alive", got)
	}
}

// A service sends nothing if it was not started by systemd, and no signs of life if the
// watchdog is for another process.
func TestSystemdEnvironment(t *testing.T) {
	m := servertest.ListenAsManager(t)
	for _, tt := range []struct {
		name, socket, usec, pid string
		tells, failed           bool
		watchdog                time.Duration
	}{
		{"none", "", "", "", false, false, 0},
		{"no watchdog", m.Path, "", "", true, false, 0},
		{"a watchdog", m.Path, "30000000", "", true, false, 30 * time.Second},
		{"ours", m.Path, "30000000", strconv.Itoa(os.Getpid()), true, false, 30 * time.Second},
		{"another's watchdog", m.Path, "30000000", "1", true, false, 0},
		{"no number", m.Path, "soon", "", true, true, 0},
		{"less than nothing", m.Path, "-1", "", true, true, 0},
		{"no socket there", m.Path + "-gone", "1", "", false, true, 0},
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
					if got := m.Hears(time.Second); got != want {
						t.Errorf("systemd got %q, want %q", got, want)
					}
				}
			}
			if got := m.Hears(10 * time.Millisecond); got != "" {
				t.Errorf("systemd also got %q, want no more", got)
			}
		})
	}
}

// expired returns a context that has ended.
func expired(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// started sets the environment as systemd does, and waits for the service's first message.
func started(m *servertest.Manager, watchdog, pid string) *systemd {
	m.T.Helper()
	m.T.Setenv("NOTIFY_SOCKET", m.Path)
	m.T.Setenv("WATCHDOG_USEC", watchdog)
	m.T.Setenv("WATCHDOG_PID", pid)
	told, _ := newSystemd()
	if got := m.Hears(30 * time.Second); got != "STATUS=starting" {
		m.T.Fatalf("systemd got %q, want STATUS=starting", got)
	}
	return told
}
