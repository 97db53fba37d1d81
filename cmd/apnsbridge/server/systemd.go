package server

import (
	"context"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// systemd is told how the service is, if it is what has started it: sd_notify(3)
// and sd_watchdog_enabled(3). The zero value tells nothing.
type systemd struct {
	listens  bool
	watchdog time.Duration // for which it may hear nothing; 0: for ever
}

// newSystemd finds systemd in the environment. The error says why it hears nothing, or
// has a watchdog of which nothing can be made.
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

// tell sends assignments such as READY=1. A word that is lost is systemd's to
// miss, for it acts on silence; one that it does not take in time is let go.
func (m *systemd) tell(assignments ...string) {
	if !m.listens {
		return
	}
	if slices.Contains(assignments, daemon.SdNotifyReloading) {
		assignments = append(assignments, daemon.SdNotifyMonotonicUsec()) // as units of Type=notify-reload want it
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

// watch gives the watchdog a sign of life as long as alive returns in time and
// without error, until ctx ends.
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
