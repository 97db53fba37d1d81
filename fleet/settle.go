package fleet

// settle works out an app's place anew.
func (m *Machine) settle(a *app, now Instant) {
	held, holds := m.lease.Holds(a.name)
	_, owns := m.lease.Owns(a.name, now)
	switch a.place {
	case Elsewhere:
		if holds { // the answer to a claim came late
			m.beginClaim(a, now)
			m.settleClaiming(a, now, held, owns)
		}
	case Claiming:
		m.settleClaiming(a, now, held, owns)
	case Here:
		switch {
		case !holds || held != a.epoch:
			m.lose(a)
		case !owns:
			a.place = Loose
			m.want(Loosen, a)
		}
	case Loose:
		m.settleLoose(a, now, held, owns)
	}
}

// settleClaiming is settle for an app whose sessions wait.
func (m *Machine) settleClaiming(a *app, now Instant, held uint64, owns bool) {
	if a.epoch != 0 && a.epoch != held {
		a.epoch = 0
		m.want(Drop, a)
	}
	switch {
	case owns && a.epoch == 0 && !a.asking && !m.config.Serves(a.name):
		m.decline(a, held)
	case owns && a.epoch == held:
		a.place = Here
		m.want(Open, a)
	case now >= a.since+m.rules.Claim, m.leaves != stays && !a.asking && m.owner(a.name, now) == "":
		a.place = Loose
		m.want(Loosen, a)
	default:
		if m.advance(a, now, held, owns) {
			return
		}
		if owner := m.owner(a.name, now); owner != "" && !a.asking && !owns {
			a.place = Elsewhere
			m.wanted = append(m.wanted, Action{Verb: Carry, App: a.name, Node: owner})
		}
	}
}

// settleLoose is settle for an app whose sessions go on without a lease.
func (m *Machine) settleLoose(a *app, now Instant, held uint64, owns bool) {
	if now >= m.lease.Deadline() {
		return // nothing is known
	}
	switch owner, owned := m.lease.Owner(a.name); {
	case owns && a.epoch == held:
		a.place = Here
		m.want(GoOn, a)
	case a.epoch != 0 && a.epoch != held, owned && owner.Name != m.node && !owns:
		m.lose(a)
	default:
		m.advance(a, now, held, owns)
	}
}

// lose ends the sessions and the state here of an app that another node has.
func (m *Machine) lose(a *app) {
	a.place, a.epoch = Elsewhere, 0
	m.want(End, a)
}

// advance claims an app that no node has, or takes one that is claimed. It reports whether either
// is under way.
func (m *Machine) advance(a *app, now Instant, held uint64, owns bool) bool {
	owner, owned := m.lease.Owner(a.name)
	switch {
	case a.asking:
		return true
	case now < a.retry, m.leaves != stays:
		return false
	case owns:
		a.asking = true
		m.wanted = append(m.wanted, Action{Verb: Take, App: a.name, Epoch: held})
		return true
	case now < m.lease.Deadline() && (!owned || owner.Name == m.node) && !m.lease.Spared(a.name, now):
		a.asking = true
		m.want(Claim, a)
		return true
	}
	return false
}

// Ready reports whether providers should be sent to this node: it has a lease, or no node
// has. others reports whether another node says over its link that it has one.
func (m *Machine) Ready(others bool, now Instant) bool { return now < m.lease.Deadline() || !others }
