package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"apnsbridge/binproto"
)

// ownerConn is one link at its owner. Only the goroutine that reads uses its maps.
type ownerConn struct {
	*conn
	owner    *Owner
	greeted  atomic.Bool
	sessions map[uint32]*owned
	readers  map[uint32]*reader
	reading  sync.WaitGroup
	owing    []*owned // whose credit is to be paid back; only the reading goroutine uses it

	ready chan struct{} // wakes goOn: a session may go on

	// Under conn.mu.
	rested []*owned
}

// owned is a session that is carried here. It is the Provider of its own Session.
type owned struct {
	conn   *ownerConn
	number uint32

	// A Peer's methods are called under locks of the session: what they change is guarded by
	// conn.mu or atomic, never guarded by mu.
	resting bool        // it is in conn.rested
	free    atomic.Bool // it takes everything, whether there is room or not

	mu      sync.Mutex // held while the session is called
	session Session    // nil: it is closed
	parser  binproto.Parser
	note    binproto.Notification
	full    bool   // the session has no room
	queue   []byte // messages that wait for room; no more than the entry had credit for

	under, owed passage // received and not paid back; and of these, taken by the session
	owes        bool    // it is in conn.owing
}

// passage counts notifications and their bytes.
type passage struct{ notifications, bytes int }

func (p *passage) add(notifications, bytes int) {
	p.notifications += notifications
	p.bytes += bytes
}

// Fail implements Peer.
func (s *owned) Fail(status binproto.Status, identifier uint32, within time.Duration) {
	s.free.Store(true)
	c := s.conn
	c.mu.Lock()
	c.pending = appendFail(c.pending, s.number, failure{status, identifier, within})
	s.rest()
}

// Close implements Peer.
func (s *owned) Close() {
	s.free.Store(true)
	c := s.conn
	c.mu.Lock()
	c.pending = appendMessage(c.pending, end, s.number)
	s.rest()
}

var errCut = errors.New("the owner has the connection be cut")

// Cut implements Provider.
func (s *owned) Cut() {
	s.free.Store(true)
	c := s.conn
	c.mu.Lock()
	c.pending = appendText(c.pending, gone, s.number, nil, errCut)
	s.rest()
}

// Resume implements Peer.
func (s *owned) Resume() {
	s.conn.mu.Lock()
	s.rest()
}

// rest makes goOn look at the session, and releases conn.mu.
func (s *owned) rest() {
	c := s.conn
	if !s.resting {
		s.resting = true
		c.rested = append(c.rested, s)
	}
	c.unlock()
	select {
	case c.ready <- struct{}{}:
	default:
	}
}

// goOn gives sessions that have room again the messages that wait for it, until the link ends.
func (c *ownerConn) goOn() {
	for {
		select {
		case <-c.ready:
		case <-c.done:
			return
		}
		c.mu.Lock()
		rested := c.rested
		c.rested = nil
		for _, s := range rested {
			s.resting = false
		}
		c.mu.Unlock()
		for _, s := range rested {
			s.mu.Lock()
			s.full = false
			err := s.drain()
			s.pay()
			s.mu.Unlock()
			if err != nil {
				c.fail(err)
				return
			}
		}
	}
}

// take handles a message, or keeps it until there is room. s.mu is held here and in all
// methods below.
func (s *owned) take(h header, body []byte) error {
	if h.kind == leave {
		if err := hasLength(leave, body, 4); err != nil || s.session == nil {
			return err
		}
		s.session.Leave(time.Duration(binary.BigEndian.Uint32(body)) * time.Millisecond)
		return nil
	}
	if h.kind != push && h.kind != reject {
		s.free.Store(true) // nothing more comes, or only as much as is worth its memory
		err := s.drain()
		if s.pay(); err != nil {
			return err
		}
		return s.tell(h, body)
	}
	if s.under.notifications >= windowNotifications || s.under.bytes >= windowBytes {
		return fmt.Errorf("link: session %d goes over its credit of %d notifications and %d bytes", s.number,
			windowNotifications, windowBytes)
	}
	s.under.add(1, headLen+len(body))
	if len(s.queue) > 0 || s.full && !s.free.Load() {
		s.queue = append(begin(s.queue, h.kind, s.number), body...)
		finishMessage(s.queue, len(s.queue)-len(body)-headLen)
		return nil
	}
	if err := s.give(h, body); err != nil {
		return err
	}
	if s.owed.notifications >= windowNotifications/4 || s.owed.bytes >= windowBytes/4 {
		s.pay()
	} else if !s.owes {
		s.owes = true
		s.conn.owing = append(s.conn.owing, s)
	}
	return nil
}

// drain gives the session the waiting messages, as long as there is room.
func (s *owned) drain() error {
	b := s.queue
	for len(b) > 0 && (!s.full || s.free.Load()) {
		h, err := parseHeader(b)
		if err == nil {
			err = s.give(h, b[headLen:headLen+h.length])
		}
		if err != nil {
			return err
		}
		b = b[headLen+h.length:]
	}
	if s.queue = append(s.queue[:0], b...); len(b) == 0 {
		s.queue = nil
	}
	return nil
}

// give gives the session one notification.
func (s *owned) give(h header, body []byte) error {
	s.owed.add(1, headLen+len(body))
	if s.session == nil {
		return nil
	}
	var status binproto.Status
	if h.kind == push {
		size, err := s.parser.Parse(body, &s.note)
		switch e := err.(type) {
		case nil:
			if size != len(body) {
				return fmt.Errorf("link: a push of %d bytes with a frame of %d", len(body), size)
			}
			s.full = !s.session.Push(&s.note)
			return nil
		case binproto.Status:
			status = e // this node has other bounds than the entry
		default:
			return fmt.Errorf("link: a push of %d bytes: %w", len(body), err)
		}
	} else {
		var err error
		if status, err = parseReject(body, &s.note); err != nil {
			return err
		}
	}
	s.full = !s.session.Reject(&s.note, status)
	return nil
}

// tell passes on what the entry says about the provider.
func (s *owned) tell(h header, body []byte) error {
	if h.kind == readOn {
		if err := hasLength(h.kind, body, 0); err != nil || s.session == nil {
			return err
		}
		s.session.ReadOn()
		return nil
	}
	if err := hasLength(h.kind, body, 1); err != nil {
		return err
	}
	switch {
	case s.session == nil:
	case h.kind == shutdown:
		s.session.Shutdown(body[0] != 0)
	case body[0] == orderly:
		s.close(nil)
	case body[0] == tooLate:
		s.close(io.EOF)
	default:
		s.close(errBroken)
	}
	return nil
}

// close closes the session, once. It first gives it the waiting messages.
func (s *owned) close(err error) {
	if s.session == nil {
		return
	}
	s.free.Store(true)
	_ = s.drain() // cannot fail for frames that an entry has parsed
	s.session.Close(err)
	s.session = nil
	s.conn.owner.open.Add(-1)
}

// pay gives the entry credit for what the session has taken.
func (s *owned) pay() {
	if s.owed == (passage{}) {
		return
	}
	c := s.conn
	c.mu.Lock()
	c.pending = appendCredit(c.pending, s.number, s.owed.notifications, s.owed.bytes)
	c.unlock()
	s.under.add(-s.owed.notifications, -s.owed.bytes)
	s.owed = passage{}
}

// payBack pays for everything that sessions have taken so far.
func (c *ownerConn) payBack() {
	for _, s := range c.owing {
		s.mu.Lock()
		s.owes = false
		s.pay()
		s.mu.Unlock()
	}
	c.owing = c.owing[:0]
}
