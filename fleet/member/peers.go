package member

import (
	"context"
	"sync/atomic"
	"time"

	"apnsbridge/fleet/link"
	"apnsbridge/store"
)

// peer is another node, and the link to it.
type peer struct {
	address string
	end     context.CancelFunc
	entry   atomic.Pointer[link.Entry]
	gifts   byte // the last count that we have seen; only tick uses it
}

// live is the link, nil if there is none.
func (p *peer) live() *link.Entry {
	e := p.entry.Load()
	if e == nil || e.Err() != nil {
		return nil
	}
	return e
}

// meet starts and ends links, so that there is one to each node of a view. m.mu is held.
func (m *Member) meet(v store.FleetView) {
	seen := make(map[string]bool)
	for _, n := range v.Nodes {
		seen[n.Name] = true
		p := m.peers[n.Name]
		if n.Name == m.Link.Node || p != nil && p.address == n.Address {
			continue
		}
		if p != nil {
			p.end()
		}
		p = &peer{address: n.Address}
		var ctx context.Context
		ctx, p.end = context.WithCancel(m.ctx)
		m.peers[n.Name] = p
		m.wg.Go(func() { m.hold(ctx, n.Name, p) })
	}
	for name, p := range m.peers {
		if !seen[name] && p.live() == nil {
			p.end()
			delete(m.peers, name)
		}
	}
}

// hold keeps up the link to a node until ctx ends.
func (m *Member) hold(ctx context.Context, name string, p *peer) {
	for ctx.Err() == nil {
		e, err := link.Dial(ctx, p.address, m.Link)
		switch {
		case err == nil && e.Node() == name:
			p.entry.Store(e)
			select {
			case <-e.Done():
				m.Log.Warn().Err(e.Err()).Str("node", name).Msg("the link to a node is lost")
			case <-ctx.Done():
			}
			p.entry.Store(nil)
			e.Close()
		case err == nil:
			m.Log.Error().Str("node", name).Str("address", p.address).Str("found", e.Node()).Msg("another node than " +
				"that is at its address")
			e.Close()
		default:
			m.Log.Debug().Err(err).Str("node", name).Msg("a node cannot be reached")
		}
		select {
		case <-time.After(m.Rules.Retry):
		case <-ctx.Done():
		}
	}
}

// reaches reports whether the link to a node is up. m.mu is held.
func (m *Member) reaches(name string) bool {
	p := m.peers[name]
	return p != nil && p.live() != nil
}

// carriesTo reports whether a node without a lease may carry to another: the link to it
// is up, and it is not about to end. m.mu is held.
func (m *Member) carriesTo(name string) bool {
	p := m.peers[name]
	if p == nil {
		return false
	}
	e := p.live()
	return e != nil && e.State()&ends == 0
}

// othersTakeApps reports whether another node says that it has a lease and is not about to end.
func (m *Member) othersTakeApps() bool {
	for _, s := range m.owner.States() {
		if s&takesApps != 0 {
			return true
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.peers {
		if e := p.live(); e != nil && e.State()&takesApps != 0 {
			return true
		}
	}
	return false
}

// giftsSeen reports whether another node has given an app away since the last call.
func (m *Member) giftsSeen() (seen bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.peers {
		if e := p.live(); e != nil {
			if gifts := e.State() / oneGift; gifts != p.gifts {
				p.gifts, seen = gifts, true
			}
		}
	}
	return seen
}

// noteDigests notes since when other nodes' configurations have differed from ours. m.mu is held.
func (m *Member) noteDigests(v store.FleetView) {
	ours := m.Self().Digest
	differ := make(map[string]time.Time)
	for _, n := range v.Nodes {
		if n.Digest == ours {
			continue
		}
		if differ[n.Name] = m.digests[n.Name]; differ[n.Name].IsZero() {
			differ[n.Name] = time.Now()
		}
	}
	m.digests = differ
}
