package link

import (
	"errors"
	"fmt"
	"io"
	"time"

	"apnsbridge/binproto"
)

// carried is the entry's side of a provider's connection whose session is at the owner. It
// implements gateway.Session.
type carried struct {
	entry    *Entry
	number   uint32
	provider Provider
	window   *window
	behind   []byte // messages that wait for credit here
	freed    bool   // the owner was told to take everything, room or not
	gone     bool   // the provider has gone: the session ends with the last message of behind
}

// Open carries a connection of an app. origin says whose it is; only the owner reads it. The
// session takes the connection over; if the link ends, the provider is Cut.
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

// unlock releases the lock after a notification and reports whether to go on reading the
// provider. After a packet it is read on in any case, and what has no credit waits here, up to
// maxBehind: a connection that goes over it is cut.
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

// Leave implements Session.
func (s *carried) Leave(patience time.Duration) {
	e := s.entry
	e.mu.Lock()
	if e.err == nil && e.sessions[s.number] == s {
		e.pending = appendLeave(e.pending, s.number, patience)
	}
	e.unlock()
}

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

// tell sends a message that needs no credit, after those that wait for credit. If there are
// such, it first tells the owner to take them whether it has room or not.
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

// forget removes a session. The lock is held.
func (e *Entry) forget(s *carried) {
	if e.sessions[s.number] == s {
		delete(e.sessions, s.number)
		if n := s.window.notifications; n > 0 {
			e.unpaid[s.number] = n
		}
		e.account.leave(s.window)
	}
}

// goOn sends those of the waiting messages that have credit now. The lock is held.
func (s *carried) goOn() {
	e, b := s.entry, s.behind
	for len(b) > 0 && s.window.open() {
		h, _ := parseHeader(b) // cannot fail: we wrote it
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
