package member

import (
	"context"
	"errors"
	"hash/fnv"
	"time"

	"apnsbridge/fleet"
	"apnsbridge/store"
)

func (m *Member) of(name string) *app {
	a := m.apps[name]
	if a == nil {
		a = new(app)
		m.apps[name] = a
	}
	return a
}

// do queues a job of an app; an app's jobs run one after another. m.mu is held.
func (m *Member) do(name string, job func()) {
	a := m.of(name)
	a.jobs = append(a.jobs, job)
	if a.busy {
		return
	}
	a.busy = true
	m.wg.Go(func() {
		for {
			m.mu.Lock()
			if len(a.jobs) == 0 {
				a.busy = false
				m.mu.Unlock()
				return
			}
			job := a.jobs[0]
			a.jobs = a.jobs[1:]
			m.mu.Unlock()
			job()
		}
	})
}

// carryOut starts the machine's actions, in its order. m.mu is held.
func (m *Member) carryOut() {
	for _, w := range m.machine.Actions() {
		m.Log.Debug().Str("app", w.App).Stringer("verb", w.Verb).Uint64("epoch", w.Epoch).Str("node", w.Node).
			Msg("fleet")
		switch w.Verb {
		case fleet.Claim:
			m.wg.Go(func() { m.claim(w.App) })
		case fleet.Take:
			m.do(w.App, func() { m.take(w) })
		case fleet.Open:
			m.Log.Info().Str("app", w.App).Msg("the app lives here")
			m.do(w.App, func() {
				m.keepHushed(w.App)
				m.seat(w.App)
			})
		case fleet.Loosen:
			m.Log.Warn().Str("app", w.App).Msg("it is not known which node has the app: its providers are served " +
				"without packets")
			m.do(w.App, func() {
				m.Apps.Loosen(w.App)
				m.seat(w.App)
			})
		case fleet.GoOn:
			m.Log.Info().Str("app", w.App).Msg("the app lives here, as before")
			m.do(w.App, func() {
				m.Apps.GoOn(w.App)
				m.keepHushed(w.App)
				m.seat(w.App)
			})
		case fleet.End, fleet.Drop:
			m.Log.Info().Str("app", w.App).Msg("another node has the app")
			m.do(w.App, func() { m.Apps.Lose(w.App) })
		case fleet.Carry:
			m.do(w.App, func() { m.sendOn(w.App, w.Node) })
		case fleet.Release:
			m.do(w.App, func() { m.release(w) })
		case fleet.Decline:
			m.wg.Go(func() { m.decline(w) })
		}
	}
}

// decline tells the store that any other node that is configured with an app may take it.
func (m *Member) decline(w fleet.Action) {
	ctx, cancel := context.WithTimeout(m.ctx, m.Rules.Trust)
	defer cancel()
	err := m.Leases.Give(ctx, w.App, w.Epoch, "")
	if errors.Is(err, store.ErrNotOurs) {
		err = nil
	}
	if err == nil {
		m.Log.Warn().Str("app", w.App).
			Msg("the app was given to this node, which is not configured with it: any other node may take it")
	}
	m.tell(func(now fleet.Instant) {
		if err == nil {
			m.stats.Given++
		}
		m.machine.Declined(w.App, w.Epoch, err == nil, now)
	})
	m.owner.Tell()
	m.askSoon()
}

func (m *Member) claim(name string) {
	ctx, cancel := context.WithTimeout(m.ctx, m.Rules.Trust)
	defer cancel()
	epoch, err := m.Leases.Claim(ctx, name)
	taken := (*store.TakenError)(nil)
	switch {
	case err == nil:
	case errors.As(err, &taken):
		m.askSoon() // who has it
	default:
		m.Log.Warn().Err(err).Str("app", name).Msg("the app cannot be claimed")
	}
	m.tell(func(now fleet.Instant) {
		if err != nil {
			m.machine.Refused(name, now)
			return
		}
		m.machine.Claimed(name, epoch, now)
	})
}

func (m *Member) take(w fleet.Action) {
	ctx, cancel := context.WithTimeout(m.ctx, m.Rules.Claim)
	defer cancel()
	err := m.Apps.Take(ctx, w.App, w.Epoch)
	if err != nil {
		m.Log.Error().Err(err).Str("app", w.App).Msg("the state of the app cannot be loaded")
	}
	m.tell(func(now fleet.Instant) {
		if err == nil {
			m.stats.Takeovers++
		}
		m.machine.Taken(w.App, w.Epoch, err == nil, now)
	})
}

// release gives an app away once this node's state of it is written down.
func (m *Member) release(w fleet.Action) {
	began := time.Now()
	m.Apps.Release(m.ctx, w.App)
	for {
		ctx, cancel := context.WithTimeout(m.ctx, m.Rules.Trust)
		err := m.Leases.Give(ctx, w.App, w.Epoch, w.Node)
		cancel()
		if err == nil || errors.Is(err, store.ErrNotOurs) || m.ctx.Err() != nil || m.leaseOver() {
			break
		}
		m.Log.Error().Err(err).Str("app", w.App).Msg("the app cannot be given away: it will be tried again")
		select {
		case <-time.After(m.Rules.Retry):
		case <-m.ctx.Done():
		}
	}
	m.Log.Info().Str("app", w.App).Str("to", w.Node).Dur("took", time.Since(began)).Msg("the app was given away")
	m.tell(func(now fleet.Instant) {
		m.stats.Given++
		m.machine.Given(w.App, now)
	})
	m.owner.Tell()
}

// Review gives away the apps that this node is no longer configured with.
func (m *Member) Review() { m.tell(func(fleet.Instant) { m.review() }) }

// review is Review. m.mu is held.
func (m *Member) review() {
	for name := range m.apps {
		if !m.Serves(name) {
			m.machine.Give(name, m.successor(name))
		}
	}
}

// leaseOver reports whether the lease may no longer be trusted: others then take the apps,
// whether they were given or not.
func (m *Member) leaseOver() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.machine.Lease().Deadline() <= m.now()
}

// hushed is how long no packets are written for an app before it is given: those that were
// already decided on are written by then.
func (m *Member) hushed() time.Duration { return min(m.Rules.Length/2, Hushed) }

// Hushed is the upper bound of hushed.
const Hushed = 3 * time.Second

// Hush stops the packets of all apps: the node is about to Leave.
func (m *Member) Hush() {
	m.mu.Lock()
	m.leaving = true
	m.ending.Store(true)
	var here []string
	for name := range m.apps {
		if m.machine.Place(name) == fleet.Here {
			here = append(here, name)
		}
	}
	m.mu.Unlock()
	m.owner.Tell()
	for _, name := range here {
		m.Apps.Hush(name)
	}
}

// keepHushed stops the packets of an app that came here, or came back, if it is about to be given.
func (m *Member) keepHushed(name string) {
	m.mu.Lock()
	soon := m.leaving || m.of(name).moving
	m.mu.Unlock()
	if soon {
		m.Apps.Hush(name)
	}
}

// Leave gives all apps to other nodes and ends the lease, unless ctx ends first.
func (m *Member) Leave(ctx context.Context) error {
	m.tell(func(now fleet.Instant) {
		m.leaving = true
		m.ending.Store(true)
		m.machine.Leave(now)
		for name := range m.apps {
			m.machine.Give(name, m.successor(name))
		}
	})
	if err := m.await(ctx, func() bool {
		for name := range m.apps {
			if m.machine.Place(name) == fleet.Giving {
				return false
			}
		}
		return true
	}); err != nil {
		return err
	}
	m.tell(m.machine.Left) // first: once the store knows, others may claim what is here
	ctx, cancel := context.WithTimeout(ctx, m.Rules.Trust)
	defer cancel()
	return m.Leases.Leave(ctx)
}

// await waits until holds returns true. It calls it with m.mu held.
func (m *Member) await(ctx context.Context, holds func() bool) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		m.mu.Lock()
		over := holds()
		m.mu.Unlock()
		if over {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// node looks up a node that has a lease. m.mu is held.
func (m *Member) node(name string) (store.FleetNode, bool) {
	for _, n := range m.machine.Lease().View().Nodes {
		if n.Name == name {
			return n, true
		}
	}
	return store.FleetNode{}, false
}

// successor chooses the other node that an app is given to when this one ends, so that each
// gets its share; nodes with the same configuration as this one come first. "" is none in
// particular. m.mu is held.
func (m *Member) successor(app string) (name string) {
	highest, ours, alike := uint32(0), m.Self().Digest, false
	for _, n := range m.machine.Lease().View().Nodes {
		p := m.peers[n.Name]
		if p == nil || p.live() == nil || p.live().State()&takesApps == 0 || alike && n.Digest != ours {
			continue
		}
		h := fnv.New32a()
		h.Write([]byte(app + "\x00" + n.Name))
		if sum := h.Sum32(); name == "" || sum > highest || !alike && n.Digest == ours {
			name, highest, alike = n.Name, sum, n.Digest == ours
		}
	}
	return name
}
