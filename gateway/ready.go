package gateway

import (
	"errors"
	"sync"
)

// errGaveWay ends a connection that waits for Port.Ready when an app with less than its
// share of the connections needs the place.
var errGaveWay = errors.New("gateway: an app with less than its share of the connections needed the place")

// pending has the admitted connections that wait for Port.Ready after their handshakes, by app.
type pending struct {
	most int // connections that may be on their way out at a time

	mu     sync.Mutex
	byApp  map[string]map[*arrival]struct{}
	ending int
}

// stake is what would be lost if a connection were ended before its session is opened.
type stake uint8

const (
	noLoss stake = iota // nothing is unread
	resent              // its provider is there, sees the end, and can send again
	lost                // its provider has written and gone; this does not change any more
)

func newPending(l Limits) *pending {
	return &pending{most: l.Handshakes, byApp: make(map[string]map[*arrival]struct{})}
}

func (p *pending) enter(a *arrival) {
	p.mu.Lock()
	defer p.mu.Unlock()
	of := p.byApp[a.place.app]
	if of == nil {
		of = make(map[*arrival]struct{})
		p.byApp[a.place.app] = of
	}
	of[a] = struct{}{}
}

// leave takes a out. It reports false if a was chosen to give way: its place is no longer its own.
func (p *pending) leave(a *arrival) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	of := p.byApp[a.place.app]
	_, there := of[a]
	if delete(of, a); len(of) == 0 {
		delete(p.byApp, a.place.app)
	}
	return there
}

// yield makes a connection give way, of the app that is furthest beyond its share, and returns
// its place; nil if no app is beyond its share. It chooses the connection that loses least, and
// of several the one that has been there longest.
func (p *pending) yield(excess map[string]int) *place {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ending >= p.most {
		return nil
	}
	busiest := ""
	for app := range p.byApp {
		if excess[app] > excess[busiest] {
			busiest = app
		}
	}
	if excess[busiest] == 0 {
		return nil
	}
	var gives *arrival
	for a := range p.byApp[busiest] {
		a.lookUnread()
		if gives == nil || a.stake < gives.stake || a.stake == gives.stake && a.since.Before(gives.since) {
			gives = a
		}
		if gives.stake == noLoss {
			break
		}
	}
	delete(p.byApp[busiest], gives)
	p.ending++
	close(gives.yields)
	return gives.place
}

// gone says that a connection that gave way is closed.
func (p *pending) gone() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ending--
}

// awaitReady waits until sessions can be opened. The error says why a will have none: the
// port closes before that, or a has given way.
func (a *arrival) awaitReady() error {
	f := a.front
	if f.ready == nil {
		return nil
	}
	select {
	case <-f.ready:
		return nil
	default:
	}
	a.readBehind()
	a.yields = make(chan struct{})
	f.census.wait(a.place)
	f.pending.enter(a)
	select {
	case <-f.ready:
	case <-a.yields:
	case <-f.ctx.Done():
	}
	switch {
	case !f.pending.leave(a):
		return errGaveWay
	case f.ctx.Err() != nil:
		return f.ctx.Err()
	}
	return nil
}

// readBehind takes out of the tls.Conn what came together with the end of the handshake. The
// kernel knows of everything else that the provider writes.
func (a *arrival) readBehind() {
	var buf [firstHello]byte
	below := a.wire.Conn
	a.wire.Conn = dry{below}
	n, _ := a.stream.Read(buf[:]) // a lasting error will come again
	a.wire.Conn = below
	a.behind = append(a.behind, buf[:n]...)
}

// lookUnread finds out what is at stake by now.
func (a *arrival) lookUnread() {
	if a.stake == lost {
		return
	}
	control(a.tcp, func(fd int) {
		p, _ := progressOf(fd)
		switch {
		case len(a.behind) == 0 && received(fd) == 0:
			a.stake = noLoss
		case p.endedFirst, p.over:
			a.stake = lost
		default:
			a.stake = resent
		}
	})
}
