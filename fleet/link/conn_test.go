package link

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipe returns one end of a link, after its handshake, and what the other end is made of, which
// shows certificate: one made in a bubble would be of the year 2000.
func pipe(t *testing.T, certificate tls.Certificate) (c *conn, other *tls.Conn) {
	t.Helper()
	one, far := net.Pipe()
	other = tls.Server(far, &tls.Config{
		Certificates: []tls.Certificate{certificate}, SessionTicketsDisabled: true,
	})
	c = newConn(Config{}.withDefaults(), tls.Client(one, &tls.Config{InsecureSkipVerify: true}), maxControl)
	shaken := make(chan error)
	go func() { shaken <- other.Handshake() }()
	if err := errors.Join(c.tls.Handshake(), <-shaken); err != nil {
		t.Fatal(err)
	}
	return c, other
}

// A write that is held up while this process sleeps, which its own signs of life do too, does not
// end the link.
func TestWriteIsSleptThrough(t *testing.T) {
	certificate := fleetCA().node()
	synctest.Test(t, func(t *testing.T) {
		c, other := pipe(t, certificate)
		c.wg.Go(c.write) // and no watch
		c.tell()
		time.Sleep(time.Minute)
		if _, err := io.ReadFull(other, make([]byte, headLen+1)); err != nil {
			t.Errorf("the other node reads %v", err)
		}
		if err := c.reason(); err != nil {
			t.Errorf("the link has ended: %v", err)
		}
		c.fail(errClosed)
		c.wg.Wait()
		other.NetConn().Close()
	})
}

// A node that gives signs of life but reads nothing loses its link.
func TestUnread(t *testing.T) {
	certificate := fleetCA().node()
	synctest.Test(t, func(t *testing.T) {
		c, other := pipe(t, certificate)
		begun := time.Now()
		var signs sync.WaitGroup
		signs.Go(func() {
			for c.reason() == nil {
				_, _ = other.Write(appendMessage(nil, alive, 0, 0))
				time.Sleep(c.config.Alive)
			}
		})
		c.run(func(header, []byte) error { return nil }, func() {})
		signs.Wait()
		if err, took := c.reason(), time.Since(begun); !errors.Is(err, errControl) || took > 2*silences*c.config.Alive {
			t.Errorf("ended after %v: %v, want %v after %d signs of life", took, err, errControl, silences)
		}
		other.NetConn().Close()
	})
}
