package member

import (
	"time"

	"apnsbridge/fleet"
)

// Enter seeks a place for a connection of an app. from is the node that carries it here, empty if
// none does. The connection may wait for a while, unread.
func (m *Member) Enter(name, from string, g Guest) { m.enter(&visit{Guest: g, app: name, from: from}) }

// visit is a guest whose place is sought.
type visit struct {
	Guest
	app, from string
	failed    int // attempts
}

// attempts is how many times a place is sought for a connection before it is cut.
const attempts = 20

func (m *Member) enter(v *visit) {
	if v.failed == attempts || m.ctx.Err() != nil {
		v.Cut()
		return
	}
	var to string
	m.tell(func(now fleet.Instant) {
		var p fleet.Place
		p, to = m.machine.Session(v.app, v.from, now)
		switch {
		case to != "":
		case p == fleet.Here || p == fleet.Loose:
			m.do(v.app, func() { m.seatOne(v) })
		default:
			a := m.of(v.app)
			a.waiting = append(a.waiting, v)
		}
	})
	if to != "" {
		m.bring(to, v)
	}
}

// seatOne serves a connection here, or seeks another place if the app has left meanwhile.
func (m *Member) seatOne(v *visit) {
	if err := v.Here(); err != nil {
		m.later(v)
	}
}

// later seeks a place again after a pause.
func (m *Member) later(v *visit) {
	v.failed++
	m.wg.Go(func() {
		select {
		case <-time.After(m.Rules.Seek() / attempts):
		case <-m.ctx.Done():
		}
		m.enter(v)
	})
}

// bring carries a connection to a node, or tries again later: a node that cannot be reached now
// may be soon.
func (m *Member) bring(to string, v *visit) {
	m.mu.Lock()
	p := m.peers[to]
	m.mu.Unlock()
	if p != nil {
		if e := p.live(); e != nil {
			m.count(func(s *Stats) { s.Carried++ })
			v.Carry(e)
			return
		}
	}
	m.later(v)
}

func (m *Member) waiters(name string) []*visit {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.of(name)
	w := a.waiting
	a.waiting = nil
	return w
}

// seat serves the waiting connections here.
func (m *Member) seat(name string) {
	for _, v := range m.waiters(name) {
		m.seatOne(v)
	}
}

// sendOn carries the waiting connections to a node, or seeks a place for them again if that is
// empty.
func (m *Member) sendOn(name, to string) {
	for _, v := range m.waiters(name) {
		if to != "" && to != m.Link.Node {
			m.bring(to, v)
		} else {
			m.enter(v)
		}
	}
}
