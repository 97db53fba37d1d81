// Package provider speaks the binary provider interface as the old libraries
// did: it sends notifications, sends again what an error packet says was lost,
// and reads the feedback service. It stands behind `apnsbridge send` and
// `apnsbridge feedback`, and tests talk to the gateway with it.
//
// A Client does what a careful provider does. A Conn does what it is told, also
// what no provider should do.
package provider

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"apnsbridge/binproto"
)

// Conn is one connection to a gateway or a feedback service. One goroutine may
// write while another one reads.
type Conn struct {
	*tls.Conn              // CloseWrite apart, whose own sends no FIN
	TCP       *net.TCPConn // below TLS, for those who want to misbehave
}

// Dial connects to addr ("host:port") and shakes hands, within 30 s. config may
// leave ServerName empty: it is then the host of addr. With TLS 1.3 a client
// certificate that is refused is known only at the first read.
func Dial(ctx context.Context, addr string, config *tls.Config) (*Conn, error) {
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: 30 * time.Second}, Config: config}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to %s: %w", addr, err)
	}
	c := conn.(*tls.Conn)
	return &Conn{Conn: c, TCP: c.NetConn().(*net.TCPConn)}, nil
}

// ReadResponse waits for the error packet. It returns io.EOF if the gateway ends
// the connection without one, whether with close_notify or with a mere FIN.
func (c *Conn) ReadResponse() (binproto.Response, error) {
	var b [binproto.ResponseSize]byte
	n, err := io.ReadFull(c, b[:])
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return binproto.Response{}, fmt.Errorf("connection ended after %d of the %d bytes of an error packet: % x: %w",
			n, len(b), b[:n], err)
	}
	if err != nil {
		return binproto.Response{}, err
	}
	r, err := binproto.ParseResponse(b[:])
	if err != nil {
		return r, fmt.Errorf("not an error packet: % x: %w", b, err)
	}
	return r, nil
}

// CloseWrite ends the provider's side with close_notify and FIN. What the
// gateway still has to say can be read.
func (c *Conn) CloseWrite() error {
	return errors.Join(c.Conn.CloseWrite(), c.TCP.CloseWrite())
}

// Abort ends the connection with a reset. What was written and has not arrived
// is gone.
func (c *Conn) Abort() error {
	if err := c.TCP.SetLinger(0); err != nil {
		return err
	}
	return c.TCP.Close()
}
