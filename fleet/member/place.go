package member

import (
	"time"

	"apnsbridge/fleet"
)

// Ready reports whether the node should be sent providers.
func (m *Member) Ready() bool {
	others := m.othersTakeApps()
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.leaving && m.machine.Ready(others, m.now())
}

// May reports whether the state that nodes share may be read for an app now.
func (m *Member) May(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.machine.May(name, m.now())
}

// Loose reports whether an app is served here without a lease, including the moment before its
// place becomes Loose.
func (m *Member) Loose(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.machine.Place(name)
	return p == fleet.Loose || p == fleet.Here && !m.machine.May(name, m.now())
}

// Answers is how long packets may still be written for an app, 0 if none may.
func (m *Member) Answers(name string) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.machine.Place(name); p != fleet.Here && p != fleet.Giving {
		return 0
	}
	return max(0, m.machine.Lease().Deadline()-m.now())
}

// Place is where an app lives.
func (m *Member) Place(name string) fleet.Place {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.machine.Place(name)
}
