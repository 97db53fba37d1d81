package member

import (
	"time"

	"apnsbridge/fleet"
)

// Enter seeks a place for a connection of an app. It may wait there for a while, unread.
func (m *Member) Enter(name string, g Guest) { m.enter(name, g, 0) }

// attempts are how often a place is sought for a connection that was not taken.
const attempts = 20

func (m *Member) enter(name string, g Guest, failed int) {
	if failed == attempts || m.ctx.Err() != nil {
		g.Cut()
		return
	}
	var to string
	m.tell(func(now fleet.Instant) {
		var p fleet.Place
		p, to = m.machine.Session(name, now)
		switch {
		case to != "":
		case p == fleet.Here || p == fleet.Loose:
			m.do(name, func() { m.seatOne(name, g, failed) })
		default:
			a := m.of(name)
			a.waiting = append(a.waiting, g)
		}
	})
	if to != "" {
		m.bring(name, to, g, failed)
	}
}

// seatOne serves a connection here, or seeks another place if the app is away by now.
func (m *Member) seatOne(name string, g Guest, failed int) {
	if err := g.Here(); err != nil {
		m.later(func() { m.enter(name, g, failed+1) })
	}
}

// later does something in a moment.
func (m *Member) later(do func()) {
	m.wg.Go(func() {
		select {
		case <-time.After(m.Rules.Claim / attempts):
		case <-m.ctx.Done():
		}
		do()
	})
}

// bring carries a connection to a node. One that cannot be reached now may be soon.
func (m *Member) bring(name, to string, g Guest, failed int) {
	m.mu.Lock()
	p := m.peers[to]
	m.mu.Unlock()
	if p != nil {
		if e := p.live(); e != nil {
			m.count(func(s *Stats) { s.Carried++ })
			g.Carry(e)
			return
		}
	}
	m.later(func() { m.enter(name, g, failed+1) })
}

func (m *Member) waiters(name string) []Guest {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.of(name)
	w := a.waiting
	a.waiting = nil
	return w
}

// seat serves here those who wait.
func (m *Member) seat(name string) {
	for _, g := range m.waiters(name) {
		m.seatOne(name, g, 0)
	}
}

// sendOn carries those who wait to a node, or asks again if that is empty.
func (m *Member) sendOn(name, to string) {
	for _, g := range m.waiters(name) {
		if to != "" && to != m.Link.Node {
			m.bring(name, to, g, 0)
		} else {
			m.enter(name, g, 0)
		}
	}
}
