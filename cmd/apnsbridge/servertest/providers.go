package servertest

import (
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/story"
	"apnsbridge/gateway/devpki"
	"apnsbridge/gateway/provider"
)

// PKI is created once, because RSA keys are slow to generate.
var PKI = sync.OnceValue(func() *devpki.PKI {
	p, err := devpki.Create(story.Topic)
	if err != nil {
		panic(err)
	}
	return p
})

// Strangers is a PKI that the gateway does not know.
var Strangers = sync.OnceValue(func() *devpki.PKI {
	p, err := devpki.Create("com.example.strange")
	if err != nil {
		panic(err)
	}
	return p
})

// Issue issues a client certificate from p.
func Issue(t *testing.T, p *devpki.PKI, o devpki.ClientOptions) *tls.Certificate {
	t.Helper()
	pair, err := p.Issue(o)
	if err != nil {
		t.Fatal(err)
	}
	c, err := pair.TLS()
	if err != nil {
		t.Fatal(err)
	}
	return &c
}

// Dial connects a provider until the end of the test.
func (w *World) Dial(config *tls.Config) *provider.Conn {
	w.T.Helper()
	conn, err := w.TryDial(config)
	if err != nil {
		w.T.Fatal(err)
	}
	return conn
}

// Send writes another notification to each of the connections, and fails the test
// unless APNs accepts them all.
func (w *World) Send(first int, conns ...*provider.Conn) {
	w.T.Helper()
	before := w.Sim.Stats().Accepted
	for i, c := range conns {
		if _, err := c.Write(Enhanced(Token("21", first+i), first+i)); err != nil {
			w.T.Fatal(err)
		}
	}
	w.Await("notifications after a reload", func(s apnssim.Stats) bool { return s.Accepted >= before+len(conns) })
}

// TryDial connects with TLS 1.2, like old providers, unless config has a MaxVersion. With TLS
// 1.2 a refusal is known when the handshake ends; with TLS 1.3 it may come later, and TryDial
// waits for it.
func (w *World) TryDial(config *tls.Config) (*provider.Conn, error) {
	if config.MaxVersion == 0 {
		config = config.Clone()
		config.MaxVersion = tls.VersionTLS12
	}
	conn, err := provider.Dial(w.T.Context(), w.Push, config)
	if err != nil {
		return nil, err
	}
	w.T.Cleanup(func() { conn.Close() })
	if conn.ConnectionState().Version < tls.VersionTLS13 {
		return conn, nil
	}
	conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	_, err = conn.Read(make([]byte, 1))
	conn.SetReadDeadline(time.Time{})
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, fmt.Errorf("the gateway ends the connection: %w", err)
	}
	return conn, nil
}

// Pinned issues a client certificate, and returns the rule that admits it and the TLS
// configuration with which its owner connects.
func (w *World) Pinned() (rule string, config *tls.Config) {
	w.T.Helper()
	pair, err := PKI().Issue(devpki.ClientOptions{})
	if err != nil {
		w.T.Fatal(err)
	}
	certificate, err := pair.TLS()
	if err != nil {
		w.T.Fatal(err)
	}
	config = w.ClientTLS()
	config.Certificates = []tls.Certificate{certificate}
	return fmt.Sprintf("{sha256: %x}", sha256.Sum256(pair.Leaf.Raw)), config
}
