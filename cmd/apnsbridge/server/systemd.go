package server

import (
	"context"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// systemd sends the service's state to systemd, if that has started it: sd_notify(3) and
// sd_watchdog_enabled(3). The zero value sends nothing.
type systemd struct {
	listens  bool
	watchdog time.Duration // how long systemd may get no sign of life; 0: no watchdog
}

// newSystemd finds systemd in the environment. The error says why it cannot be sent anything,
// or why its watchdog's setting cannot be read.
func newSystemd() (*systemd, error) {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return &systemd{}, nil
	}
	if _, err := daemon.SdNotify(false, "STATUS=starting"); err != nil {
		return &systemd{}, err
	}
	watchdog, err := daemon.SdWatchdogEnabled(false)
	return &systemd{listens: true, watchdog: watchdog}, err
}

// tell sends assignments such as READY=1. Errors are ignored, because systemd acts on
// silence; a message that it does not take in time is dropped.
func (m *systemd) tell(assignments ...string) {
	if !m.listens {
		return
	}
	if slices.Contains(assignments, daemon.SdNotifyReloading) {
		assignments = append(assignments, daemon.SdNotifyMonotonicUsec()) // needed by units of Type=notify-reload
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		daemon.SdNotify(false, strings.Join(assignments, "\n"))
	}()
	select {
	case <-done:
	case <-time.After(time.Second):
	}
}

// watch sends the watchdog signs of life, until ctx ends, as long as alive returns in time
// and without an error.
func (m *systemd) watch(ctx context.Context, alive func(context.Context) error, complain func(error)) {
	if m.watchdog <= 0 {
		return
	}
	every := m.watchdog / 3
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		asking, cancel := context.WithTimeout(ctx, every)
		err := alive(asking)
		cancel()
		switch {
		case err == nil:
			m.tell(daemon.SdNotifyWatchdog)
		case ctx.Err() == nil:
			complain(err)
		}
	}
}
