package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// systemd is told how the service is, if it is what has started it: sd_notify(3)
// and sd_watchdog_enabled(3). The zero value tells nobody.
type systemd struct {
	conn     *net.UnixConn
	watchdog time.Duration // for which it may hear nothing; 0: for ever
}

// newSystemd finds systemd in the environment.
func newSystemd(getenv func(string) string) (*systemd, error) {
	path := getenv("NOTIFY_SOCKET")
	if path == "" {
		return &systemd{}, nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"}) // @ begins an abstract one
	if err != nil {
		return &systemd{}, fmt.Errorf("NOTIFY_SOCKET: %w", err)
	}
	m := &systemd{conn: conn}
	usec, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64)
	if pid := getenv("WATCHDOG_PID"); err == nil && usec > 0 && (pid == "" || pid == strconv.Itoa(os.Getpid())) {
		m.watchdog = time.Duration(usec) * time.Microsecond
	}
	return m, nil
}

// tell sends assignments such as READY=1. A word that is lost is systemd's to
// miss: it acts on silence.
func (m *systemd) tell(assignments ...string) {
	if m.conn != nil {
		m.conn.SetWriteDeadline(time.Now().Add(time.Second))
		m.conn.Write([]byte(strings.Join(assignments, "\n")))
	}
}

func (m *systemd) close() {
	if m.conn != nil {
		m.conn.Close()
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
			m.tell("WATCHDOG=1")
		case ctx.Err() == nil:
			complain(err)
		}
	}
}
