package server

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge"
	"apnsbridge/bridge/conversation"
	"apnsbridge/fleet/link"
)

// passenger is the session of a provider's connection in a fleet, whose app may live on
// another node. Until a place has been found for it, it has no room.
type passenger struct {
	provider link.Provider
	carriage *carriage
	app      string
	origin   []byte                       // for a session on another node
	open     func() (link.Session, error) // opens a session here

	session atomic.Pointer[link.Session] // nil: no place has been found yet
	away    atomic.Bool                  // the session is on another node
	untold  atomic.Bool                  // the provider was not told of a failure

	mu      sync.Mutex
	kept    []func(link.Session) (room bool) // what has come before there was a session
	bytes   int
	leaving time.Duration // the patience with which the session is to leave; 0: it is not
	leaves  time.Duration // the same, for a session on another node
	over    bool
}

const (
	// maxKept is how many bytes of a connection are kept while a place is sought. Little comes,
	// because it is read on only when its provider has ended.
	maxKept = 4 << 20

	ofFrame = 160 // bytes that a kept frame takes besides token and payload
)

// Here implements member.Guest.
func (p *passenger) Here() error {
	s, err := p.open()
	if err == nil {
		p.begin(s)
	}
	return err
}

// Carry implements member.Guest.
func (p *passenger) Carry(e *link.Entry) {
	s, err := e.Open(p.provider, p.app, p.origin)
	if err != nil {
		p.Cut()
		return
	}
	p.mu.Lock()
	p.leaving = max(p.leaving, p.leaves)
	p.away.Store(true) // under the lock: leaveAll has either set p.leaves before or sees away
	p.mu.Unlock()
	p.begin(s)
}

// Cut implements member.Guest.
func (p *passenger) Cut() { p.provider.Cut() }

// begin gives s what has come so far; from now on p passes everything on to it.
func (p *passenger) begin(s link.Session) {
	p.mu.Lock()
	room := true
	for _, give := range p.kept {
		room = give(s)
	}
	if p.kept = nil; p.leaving > 0 && !p.over {
		s.Leave(p.leaving)
	}
	p.session.Store(&s)
	p.mu.Unlock()
	if room {
		p.provider.Resume()
	}
}

// give applies what to the session or, if there is none yet, keeps it. size is the bytes that
// keeping it takes.
func (p *passenger) give(size int, what func(s link.Session) (room bool)) (room bool) {
	if s := p.session.Load(); s != nil {
		return what(*s)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.session.Load(); s != nil {
		return what(*s)
	}
	p.kept = append(p.kept, what)
	if p.bytes += size; p.bytes > maxKept {
		p.provider.Cut()
	}
	return false
}

// Push implements gateway.Session, and so do the methods below.
func (p *passenger) Push(n *binproto.Notification) (room bool) {
	if s := p.session.Load(); s != nil {
		return (*s).Push(n)
	}
	copied, size := keep(n)
	return p.give(size, func(s link.Session) bool { return s.Push(copied) })
}

func (p *passenger) Reject(n *binproto.Notification, status binproto.Status) (room bool) {
	if s := p.session.Load(); s != nil {
		return (*s).Reject(n, status)
	}
	copied, size := keep(n)
	return p.give(size, func(s link.Session) bool { return s.Reject(copied, status) })
}

// keep copies n, which is borrowed. size is the number of bytes that the copy takes.
func keep(n *binproto.Notification) (copied *binproto.Notification, size int) {
	c := *n
	c.Token, c.Payload = bytes.Clone(n.Token), bytes.Clone(n.Payload)
	return &c, len(n.Token) + len(n.Payload) + ofFrame
}

func (p *passenger) ReadOn() {
	p.give(0, func(s link.Session) bool {
		s.ReadOn()
		return true
	})
}

func (p *passenger) Shutdown(heard bool) {
	p.give(0, func(s link.Session) bool {
		s.Shutdown(heard)
		return true
	})
}

func (p *passenger) Close(err error) {
	p.carriage.leave(p)
	if err == nil && p.untold.Load() {
		err = errUntold
	}
	p.give(0, func(s link.Session) bool {
		s.Close(err)
		return true
	})
	p.mu.Lock()
	p.over = true
	p.mu.Unlock()
}

// Leave implements link.Session.
func (p *passenger) Leave(patience time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.session.Load(); s != nil {
		(*s).Leave(patience)
	} else {
		p.leaving = max(patience, 1)
	}
}

// Resending is what is known of the providers of such frames, if the session is here.
func (p *passenger) Resending(command binproto.Command, layout binproto.Layout) conversation.Resending {
	if s := p.session.Load(); s != nil {
		if here, ok := (*s).(*bridge.Session); ok {
			return here.Resending(command, layout)
		}
	}
	return conversation.Unsettled
}

// carriage has the passengers of a node.
type carriage struct {
	mu      sync.Mutex
	present map[*passenger]bool
	leaving time.Duration // patience with which sessions on other nodes leave; 0: they stay
}

func (c *carriage) enter(p *passenger) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.present == nil {
		c.present = make(map[*passenger]bool)
	}
	c.present[p] = true
	p.leaves = c.leaving
}

func (c *carriage) leave(p *passenger) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.present, p)
}

// away returns how many sessions are on other nodes.
func (c *carriage) away() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for p := range c.present {
		if p.away.Load() {
			n++
		}
	}
	return n
}

// leaveAll makes all sessions leave that are on other nodes, or get there later.
func (c *carriage) leaveAll(patience time.Duration) {
	c.mu.Lock()
	c.leaving = patience
	all := slices.Collect(maps.Keys(c.present))
	c.mu.Unlock()
	for _, p := range all {
		p.mu.Lock()
		p.leaves = patience
		p.mu.Unlock()
		if p.away.Load() {
			p.Leave(patience)
		}
	}
}

// answers returns for how long packets may be written for an app, 0 if none may.
func (f *fleetNode) answers(app string) time.Duration {
	if f.service.bridge.Unwritten(app) {
		return 0
	}
	return min(f.member.Answers(app), f.half)
}

// voice is a passenger's provider. It is told of a failure only while its app is here, soon
// enough, and only if what it may send again has been written down.
type voice struct {
	link.Provider
	answers func() time.Duration // for how long packets may be written
	untold  *atomic.Bool
}

var errUntold = errors.New("the provider was not told of a failure: the app's next owner would not know of it")

// Fail implements bridge.Peer. If it is too late, the connection ends without a packet: another
// node would have to recognise what the provider resends, and knows nothing of it. What the
// provider has written is still read, and the failure goes to the feedback list.
func (v voice) Fail(status binproto.Status, identifier uint32, within time.Duration) {
	left := v.answers()
	if left <= 0 {
		v.untold.Store(true)
		v.Provider.Close()
		return
	}
	v.Provider.Fail(status, identifier, min(within, left))
}

// Judged implements bridge.Witness.
func (v voice) Judged() {
	if w, ok := v.Provider.(bridge.Witness); ok {
		w.Judged()
	}
}

// BadToken implements bridge.Witness.
func (v voice) BadToken() {
	if w, ok := v.Provider.(bridge.Witness); ok {
		w.BadToken()
	}
}

// seeker is a feedback reader for which a place is sought.
type seeker struct{ found chan place }

// place is where a feedback list is given: here, or over a link.
type place struct {
	entry *link.Entry
	err   error
}

func (s seeker) Here() error {
	s.found <- place{}
	return nil
}
func (s seeker) Carry(e *link.Entry) { s.found <- place{entry: e} }
func (s seeker) Cut()                { s.found <- place{err: io.ErrUnexpectedEOF} }
