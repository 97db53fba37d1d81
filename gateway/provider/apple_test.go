package provider

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/gateway/devpki"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var pki = sync.OnceValues(func() (*devpki.PKI, error) { return devpki.Create("com.example.demo") })

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// A step is one thing that Apple did in a conversation. Its error fails the test.
type step func(*apple) error

// apple is the other side of one connection.
type apple struct {
	*tls.Conn
	buf []byte
}

// serve answers as Apple did: the first connection with the first conversation,
// and so on. It fails the test if a conversation does not go as it says, or if
// there is one more or one less. It returns a client of it.
func serve(t *testing.T, conversations ...[]step) *Client {
	t.Helper()
	return serveTLS(t, &tls.Config{ClientAuth: tls.RequireAnyClientCert}, conversations...)
}

func serveTLS(t *testing.T, config *tls.Config, conversations ...[]step) *Client {
	t.Helper()
	p, err := pki()
	if err != nil {
		t.Fatal(err)
	}
	server, err := p.Server.TLS()
	if err != nil {
		t.Fatal(err)
	}
	client, err := p.Client.TLS()
	if err != nil {
		t.Fatal(err)
	}
	config.Certificates = []tls.Certificate{server}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			c, err := ln.Accept()
			if errors.Is(err, net.ErrClosed) {
				if i != len(conversations) {
					t.Errorf("got %d connections, want %d", i, len(conversations))
				}
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
			var steps []step
			if i < len(conversations) {
				steps = conversations[i]
			}
			if err := converse(tls.Server(c, config), steps); err != nil {
				t.Errorf("connection %d: %v", i, err)
			}
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-done
	})
	return &Client{
		Addr:  ln.Addr().String(),
		TLS:   &tls.Config{RootCAs: p.Pool(), Certificates: []tls.Certificate{client}, ServerName: "gateway.push.apple.com"},
		Quiet: -1,
	}
}

func converse(c *tls.Conn, steps []step) error {
	defer c.NetConn().Close()
	c.SetDeadline(time.Now().Add(patience))
	a := &apple{Conn: c}
	for i, s := range steps {
		if err := s(a); err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
	}
	return nil
}

// frame reads one frame.
func (a *apple) frame(n *binproto.Notification) error {
	for {
		size, err := binproto.DefaultParser().Parse(a.buf, n)
		if size > 0 {
			a.buf = a.buf[size:]
			return nil
		}
		if err != binproto.ErrShort {
			return err
		}
		more := make([]byte, 4096)
		m, err := a.Read(more)
		a.buf = append(a.buf, more[:m]...)
		if m == 0 && err != nil {
			return err
		}
	}
}

// expect reads frames with the identifiers from first to last.
func expect(first, last uint32) step {
	return func(a *apple) error {
		for want := first; want <= last; want++ {
			var n binproto.Notification
			if err := a.frame(&n); err != nil {
				return fmt.Errorf("instead of notification %d: %w", want, err)
			}
			if n.Identifier != want {
				return fmt.Errorf("got notification %d, want %d", n.Identifier, want)
			}
		}
		return nil
	}
}

// count reads n frames, whatever their identifiers.
func count(n int) step {
	return func(a *apple) error {
		for i := range n {
			var n binproto.Notification
			if err := a.frame(&n); err != nil {
				return fmt.Errorf("after %d notifications: %w", i, err)
			}
		}
		return nil
	}
}

// expectEnd waits until the provider has ended its side, and wants nothing before.
func expectEnd(a *apple) error {
	var n binproto.Notification
	if err := a.frame(&n); err != io.EOF {
		return fmt.Errorf("got notification %d and error %v, want the end", n.Identifier, err)
	}
	return nil
}

// rest lets the provider send what it likes until it is gone.
func rest(a *apple) error {
	io.Copy(io.Discard, a.NetConn())
	return nil
}

func send(b []byte) step {
	return func(a *apple) error {
		_, err := a.Write(b)
		return err
	}
}

func refuse(status binproto.Status, identifier uint32) step {
	return send(binproto.Response{Status: status, Identifier: identifier}.Append(nil))
}

// end is close_notify and FIN.
func end(a *apple) error {
	return errors.Join(a.CloseWrite(), a.NetConn().(*net.TCPConn).CloseWrite())
}

// cut is a FIN without close_notify.
func cut(a *apple) error { return a.NetConn().(*net.TCPConn).CloseWrite() }

// reset is the end of the conversation.
func reset(a *apple) error {
	return errors.Join(a.NetConn().(*net.TCPConn).SetLinger(0), a.NetConn().Close())
}

func handshake(a *apple) error { return a.Handshake() }
