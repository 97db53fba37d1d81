package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"iter"
	"os"
	"sync/atomic"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/gateway/devpki"
	"apnsbridge/gateway/provider"
)

// reload does what SIGHUP does.
func (w *world) reload() {
	w.t.Helper()
	if err := w.service.reload(); err != nil {
		w.t.Fatalf("reload: %v", err)
	}
}

// pinned issues a client certificate, and gives the rule that admits it and how
// its owner connects.
func (w *world) pinned() (rule string, config *tls.Config) {
	w.t.Helper()
	pair, err := pki().Issue(devpki.ClientOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	certificate, err := pair.TLS()
	if err != nil {
		w.t.Fatal(err)
	}
	config = w.clientTLS()
	config.Certificates = []tls.Certificate{certificate}
	return fmt.Sprintf("{sha256: %x}", sha256.Sum256(pair.Leaf.Raw)), config
}

// tryDial also learns of a refusal that comes after the handshake, as it does
// in TLS 1.3.
func (w *world) tryDial(config *tls.Config) (*provider.Conn, error) {
	conn, err := provider.Dial(w.t.Context(), w.push, config)
	if err != nil {
		return nil, err
	}
	w.t.Cleanup(func() { conn.Close() })
	conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	_, err = conn.Read(make([]byte, 1))
	conn.SetReadDeadline(time.Time{})
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, fmt.Errorf("the gateway ends the connection: %w", err)
	}
	return conn, nil
}

// changeSomething reloads with one of several changes, or tries to.
func (w *world) changeSomething(n int) error {
	broken := false
	switch n % 6 {
	case 0:
		w.amend("topic: "+demoTopic, "push_type: alert\n    topic: "+demoTopic)
	case 1:
		w.amend("push_type: alert\n", "on_bad_token: report\n")
	case 2: // new connections to APNs
		w.amend("key_id: DEVELOPER1", "key_id: DEVELOPER2")
		w.amend("on_bad_token: report\n    ", "")
	case 3:
		w.amend("apps:", "limits: {window: x}\napps:")
		broken = true
	case 4:
		w.amend("limits: {window: x}\n", "")
		w.amend("key_id: DEVELOPER2", "key_id: DEVELOPER1")
		w.write("server.pem", strangers().Server.CertPEM)
		broken = true
	case 5:
		w.write("server-key.pem", strangers().Server.KeyPEM)
		if err := w.service.reload(); err != nil {
			return err
		}
		w.write("server.pem", pki().Server.CertPEM)
		w.write("server-key.pem", pki().Server.KeyPEM)
	}
	if err := w.service.reload(); (err != nil) != broken {
		return fmt.Errorf("reload %d: got error %v, and its file is broken: %v", n, err, broken)
	}
	return nil
}

// paced lets so many notifications through in a second.
func paced(rate int) func(context.Context) error {
	start, n := time.Now(), 0
	return func(ctx context.Context) error {
		n++
		select {
		case <-time.After(time.Until(start.Add(time.Duration(n) * time.Second / time.Duration(rate)))):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// numbered are notifications to devices of their own, until there are enough.
func numbered(sender int, enough *atomic.Bool) iter.Seq[binproto.Notification] {
	return func(yield func(binproto.Notification) bool) {
		for i := 0; !enough.Load(); i++ {
			n := binproto.Notification{Command: binproto.Enhanced, Token: unhex(token(fmt.Sprintf("%02x", 0x20+sender), i)), Payload: []byte(`{"aps":{"alert":"x"}}`), Expiry: uint32(time.Now().Add(time.Hour).Unix())}
			if !yield(n) {
				return
			}
		}
	}
}
