package link

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"

	"apnsbridge/binproto"
)

// Entry is the end of a link at the node where providers connect.
type Entry struct {
	*conn
	closed chan struct{} // when all has ended

	// Under conn.mu.
	next     uint32
	sessions map[uint32]*carried
	readers  map[uint32]chan<- readerOrder
	account  *account
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
		readers:  make(map[uint32]chan<- readerOrder), account: newAccount(c.Bytes)}
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

// State is what the owner last said of itself.
func (e *Entry) State() byte { return byte(e.state.Load()) }

// Done is closed when the link has ended; Err says why.
func (e *Entry) Done() <-chan struct{} { return e.closed }

// Err is why the link has ended, nil as long as it has not.
func (e *Entry) Err() error { return e.reason() }

// Close ends the link, and with it all that it carries. It waits until providers are
// cut and readers are finished, so none of them must call it.
func (e *Entry) Close() {
	e.fail(errClosed)
	<-e.closed
}

// breakOff ends what was carried.
func (e *Entry) breakOff() {
	e.mu.Lock()
	sessions := e.sessions
	e.sessions = nil
	e.mu.Unlock()
	for _, s := range sessions {
		s.provider.Cut()
	}
}

// carried is a provider's connection whose session is the owner's. It implements what
// gateway.Session asks for.
type carried struct {
	entry    *Entry
	number   uint32
	provider Provider
	window   *window
	behind   []byte // messages that wait for credit
	freed    bool   // the owner was told to take all of it
	gone     bool   // the provider is: with the last of behind the session ends
}

// Open carries a connection of an app. origin says whose it is, and is the owner's to
// read. The session takes over; if the link ends, the provider is Cut.
func (e *Entry) Open(p Provider, app string, origin []byte) (Session, error) {
	if len(origin) > maxOrigin {
		return nil, fmt.Errorf("link: an origin of %d bytes; %d are the most", len(origin), maxOrigin)
	}
	e.mu.Lock()
	if e.err != nil || e.sessions == nil {
		defer e.mu.Unlock()
		return nil, errors.Join(errClosed, e.err)
	}
	if len(e.sessions) >= e.config.Sessions {
		defer e.mu.Unlock()
		return nil, fmt.Errorf("link: %d sessions are carried to %s, the most there may be", len(e.sessions), e.node)
	}
	e.next++
	s := &carried{entry: e, number: e.next, provider: p, window: e.account.enter(app)}
	s.window.session = s
	e.sessions[s.number] = s
	e.pending = appendMessage(e.pending, open, s.number, origin...)
	e.unlock()
	return s, nil
}

// Push implements gateway.Session.
func (s *carried) Push(n *binproto.Notification) (room bool) {
	e := s.entry
	e.mu.Lock()
	if e.err != nil {
		e.mu.Unlock()
		return true // the provider is about to be cut
	}
	if s.sends() {
		start := len(e.pending)
		e.pending = appendPush(e.pending, s.number, n)
		e.account.take(s.window, len(e.pending)-start)
	} else {
		s.behind = appendPush(s.behind, s.number, n)
	}
	return s.unlock()
}

// Reject implements gateway.Session.
func (s *carried) Reject(n *binproto.Notification, status binproto.Status) (room bool) {
	e := s.entry
	e.mu.Lock()
	if e.err != nil {
		e.mu.Unlock()
		return true
	}
	if s.sends() {
		start := len(e.pending)
		e.pending = appendReject(e.pending, s.number, n, status)
		e.account.take(s.window, len(e.pending)-start)
	} else {
		s.behind = appendReject(s.behind, s.number, n, status)
	}
	return s.unlock()
}

// sends reports whether the next message goes out at once. The lock is held.
func (s *carried) sends() bool { return len(s.behind) == 0 && s.window.open() }

// unlock releases the lock behind a notification and reports whether the provider is
// to be read on. Behind a packet it is read on anyway, and what has no credit waits
// here, up to a bound: a connection that goes over it ends.
func (s *carried) unlock() (room bool) {
	e := s.entry
	room = e.account.room(s.window)
	over := len(s.behind) > maxBehind
	e.unlock()
	if over {
		s.provider.Cut()
	}
	return room
}

// ReadOn implements gateway.Session.
func (s *carried) ReadOn() {
	e := s.entry
	e.mu.Lock()
	if s.freed = true; e.err == nil {
		e.pending = appendMessage(e.pending, readOn, s.number)
	}
	e.unlock()
}

// Shutdown implements gateway.Session.
func (s *carried) Shutdown(heard bool) { s.tell(shutdown, flag(heard)) }

// How a connection was closed.
const (
	orderly byte = iota
	broken
	tooLate
)

// Close implements gateway.Session.
func (s *carried) Close(err error) {
	how := broken
	switch {
	case err == nil:
		how = orderly
	case err == io.EOF:
		how = tooLate
	}
	s.tell(closed, how)
}

// tell sends what needs no credit, behind what waits for it. That the owner is to take
// what waits whether it has room or not, goes ahead.
func (s *carried) tell(k kind, body ...byte) {
	e := s.entry
	e.mu.Lock()
	if e.err != nil {
		e.mu.Unlock()
		return
	}
	s.gone = s.gone || k == closed
	if len(s.behind) > 0 {
		if !s.freed {
			s.freed = true
			e.pending = appendMessage(e.pending, readOn, s.number)
		}
		s.behind = appendMessage(s.behind, k, s.number, body...)
	} else {
		e.pending = appendMessage(e.pending, k, s.number, body...)
		if s.gone {
			e.forget(s)
		}
	}
	e.unlock()
}

// forget takes a session out. The lock is held.
func (e *Entry) forget(s *carried) {
	if e.sessions[s.number] == s {
		delete(e.sessions, s.number)
		e.account.leave(s.window)
	}
}

// goOn sends of what waits what has credit now. The lock is held.
func (s *carried) goOn() {
	e, b := s.entry, s.behind
	for len(b) > 0 && s.window.open() {
		h, _ := parseHeader(b) // as we wrote it
		size := headLen + h.length
		e.pending = append(e.pending, b[:size]...)
		if h.kind == push || h.kind == reject {
			e.account.take(s.window, size)
		}
		b = b[size:]
	}
	if s.behind = append(s.behind[:0], b...); len(b) == 0 {
		s.behind = nil
		if s.gone {
			e.forget(s)
		}
	}
}

// take carries out a message of the owner.
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

// credited has those go on that have room again.
func (e *Entry) credited(number uint32, notifications, bytes int) error {
	e.mu.Lock()
	s := e.sessions[number]
	if s == nil { // it has ended meanwhile
		e.mu.Unlock()
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
