package link

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
)

// Entry is the end of a link at the node where providers connect.
type Entry struct {
	*conn
	closed chan struct{} // closed when the link and all that it carried have ended

	// Under conn.mu.
	next     uint32
	sessions map[uint32]*carried
	readers  map[uint32]chan<- readerOrder
	account  *account
	unpaid   map[uint32]int // by session that is closed: notifications that the owner has not taken yet
	idle     chan struct{}  // signaled when unpaid may be empty
}

// Dial opens a link to the owner at address.
func Dial(ctx context.Context, address string, c Config) (*Entry, error) {
	c = c.withDefaults()
	ctx, cancel := context.WithTimeout(ctx, c.Handshake)
	defer cancel()
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("link to %s: %w", address, err)
	}
	t := tls.Client(raw, clientTLS(c.Certificate, c.CA))
	e := &Entry{conn: newConn(c, t, int(c.Bytes)+maxControl), closed: make(chan struct{}),
		sessions: make(map[uint32]*carried),
		readers:  make(map[uint32]chan<- readerOrder), account: newAccount(c.Bytes),
		unpaid: make(map[uint32]int), idle: make(chan struct{}, 1)}
	if err = t.HandshakeContext(ctx); err == nil {
		err = e.greet()
	}
	if err != nil {
		raw.Close()
		return nil, fmt.Errorf("link to %s: %w", address, err)
	}
	go func() {
		defer close(e.closed)
		e.run(e.take, func() {})
		e.breakOff()
	}()
	return e, nil
}

// Node is the name of the node at the other end.
func (e *Entry) Node() string { return e.node }

// State is the state that the owner last sent.
func (e *Entry) State() byte { return byte(e.state.Load()) }

// Done is closed when the link has ended; Err says why.
func (e *Entry) Done() <-chan struct{} { return e.closed }

// Err returns why the link has ended, nil as long as it has not.
func (e *Entry) Err() error { return e.reason() }

// Close ends the link, and with it all that it carries. It waits until providers are
// cut and readers are finished, so none of them must call it.
func (e *Entry) Close() {
	e.fail(errClosed)
	<-e.closed
}

// Settle waits until the owner has taken everything that closed sessions carried, or the link
// has ended. It returns the error of ctx if that ends first.
func (e *Entry) Settle(ctx context.Context) error {
	for {
		e.mu.Lock()
		over := len(e.unpaid) == 0
		e.mu.Unlock()
		if over {
			return nil
		}
		select {
		case <-e.idle:
		case <-e.closed:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// breakOff cuts the providers that are still carried.
func (e *Entry) breakOff() {
	e.mu.Lock()
	sessions := e.sessions
	e.sessions = nil
	e.mu.Unlock()
	for _, s := range sessions {
		s.provider.Cut()
	}
}

// take handles a message of the owner.
func (e *Entry) take(h header, body []byte) error {
	switch h.kind {
	case tuples, finish:
		return e.order(h, body)
	case credit:
		notifications, bytes, err := parseCredit(body)
		if err != nil {
			return err
		}
		return e.credited(h.session, notifications, bytes)
	case fail, end, gone:
		e.mu.Lock()
		s, reads := e.sessions[h.session], e.readers[h.session] != nil
		e.mu.Unlock()
		if reads && h.kind == gone {
			return e.order(h, body)
		}
		if h.kind != fail {
			if s != nil && h.kind == end {
				s.provider.Close()
			} else if s != nil {
				s.provider.Cut()
			}
			return nil
		}
		f, err := parseFail(body)
		if s != nil && err == nil {
			s.provider.Fail(f.status, f.identifier, f.within)
		}
		return err
	}
	return fmt.Errorf("link: a message of kind %d of an owner", h.kind)
}

// credited counts credit for a session and lets the sessions go on that have room again.
func (e *Entry) credited(number uint32, notifications, bytes int) error {
	e.mu.Lock()
	s := e.sessions[number]
	if s == nil { // it has ended meanwhile
		if e.unpaid[number] -= notifications; e.unpaid[number] <= 0 {
			delete(e.unpaid, number)
		}
		e.mu.Unlock()
		select {
		case e.idle <- struct{}{}:
		default:
		}
		return nil
	}
	if err := e.account.credit(s.window, notifications, bytes); err != nil {
		e.mu.Unlock()
		return err
	}
	s.goOn()
	var resumed []Provider
	e.account.resume(func(w *window) { resumed = append(resumed, w.session.provider) })
	e.unlock()
	for _, p := range resumed {
		p.Resume()
	}
	return nil
}
