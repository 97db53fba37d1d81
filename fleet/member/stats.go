package member

import (
	"maps"
	"slices"
	"time"

	"apnsbridge/fleet"
)

// Stats is a snapshot of a member's state. Counters run from New.
type Stats struct {
	Node      string
	Leased    bool // the lease may be trusted in
	Failing   error
	Nodes     []Node
	Apps      []App // that are configured or were claimed, sorted by name
	Takeovers uint64
	Given     uint64
	Carried   uint64 // sessions, in all
	Loose     time.Duration
	Differing []string // nodes whose configuration has differed for five minutes
}

// Node is a node that has a lease.
type Node struct {
	Name, Address, Digest string
	Linked                bool
}

// App tells where an app lives.
type App struct {
	Name  string
	Place fleet.Place // as this node sees it
	Owner string      // "": no node with a lease has it
	Epoch uint64
}

const differsFor = 5 * time.Minute

func (m *Member) count(add func(*Stats)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	add(&m.stats)
}

// countLoose counts the time without a lease while an app is served. m.mu is held.
func (m *Member) countLoose(now fleet.Instant) {
	passed := now - m.ticked
	m.ticked = now
	for name := range m.apps {
		if m.machine.Place(name) == fleet.Loose {
			m.stats.Loose += passed
		}
	}
}

// Stats returns a snapshot.
func (m *Member) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	st, l := m.stats, m.machine.Lease()
	st.Node, st.Leased = m.Link.Node, l.Deadline() > m.now()
	for _, n := range l.View().Nodes {
		st.Nodes = append(st.Nodes, Node{n.Name, n.Address, n.Digest, n.Name == st.Node || m.reaches(n.Name)})
	}
	apps := make(map[string]App)
	for name := range m.apps {
		apps[name] = App{Name: name, Place: m.machine.Place(name)}
	}
	for _, a := range l.View().Apps {
		app := App{Name: a.Name, Place: m.machine.Place(a.Name), Epoch: a.Epoch}
		if owner, ok := l.Owner(a.Name); ok {
			app.Owner = owner.Name
		}
		apps[a.Name] = app
	}
	for _, name := range slices.Sorted(maps.Keys(apps)) {
		st.Apps = append(st.Apps, apps[name])
	}
	for _, name := range slices.Sorted(maps.Keys(m.digests)) {
		if time.Since(m.digests[name]) >= differsFor {
			st.Differing = append(st.Differing, name)
		}
	}
	return st
}
