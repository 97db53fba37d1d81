package servertest

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Manager is systemd's end of the notification socket.
type Manager struct {
	T    *testing.T
	conn *net.UnixConn
	Path string
}

// ListenAsManager listens until the test ends. Path is for a program's NOTIFY_SOCKET.
func ListenAsManager(t *testing.T) *Manager {
	t.Helper()
	dir, err := os.MkdirTemp("", "") // the path of t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	m := &Manager{T: t, Path: filepath.Join(dir, "notify")}
	if m.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.Path, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.conn.Close() })
	return m
}

// Hears returns the next message, or "" if none comes in time.
func (m *Manager) Hears(patience time.Duration) string {
	m.T.Helper()
	m.conn.SetReadDeadline(time.Now().Add(patience))
	b := make([]byte, 4096)
	n, err := m.conn.Read(b)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		m.T.Fatal(err)
	}
	return string(b[:n])
}
