package lease

import (
	"time"

	"apnsbridge/store"
)

// Instant is a time on a monotonic clock that begins with the process.
type Instant = time.Duration

// Rules are the times of a fleet. All nodes must have the same.
type Rules struct {
	Length time.Duration // for which the store lets a lease run
	Trust  time.Duration // for which a node trusts it, from the moment it sent the renewal
	Renew  time.Duration // between two renewals
}

// NewRules derives the rules from the length of a lease: with 6 s a node renews each
// 1.5 s and stops trusting after 4.5 s, so that two renewals may fail in a row.
func NewRules(length time.Duration) Rules {
	return Rules{Length: length, Trust: length * 3 / 4, Renew: length / 4}
}

// Lease is what a node knows of its lease and of the apps that it has claimed.
type Lease struct {
	node  string
	rules Rules

	joined   bool    // the store knew of a lease of this process at the last answer
	deadline Instant // from here on nothing is done as an owner
	next     Instant // when the next renewal, or attempt to join, is due
	view     store.FleetView
	held     map[string]*holding
	orphans  map[string]Instant // apps that no living node has: since which answer

	unanswered int     // joins and renewals in a row without success, including the one just sent
	sparing    Instant // until then, apps are left to the nodes that had them
}

// holding is an app that this process has claimed.
type holding struct {
	epoch uint64
	state state
	to    string // if given: the node that may claim it next; empty: any
}

type state uint8

const (
	owned  state = iota
	giving       // this node no longer acts as its owner
	given        // the store knows too, though the latest view may not show it yet
)

// New returns the lease of a node that has yet to join.
func New(node string, r Rules) *Lease {
	return &Lease{node: node, rules: r, held: make(map[string]*holding), orphans: make(map[string]Instant)}
}

// Due is when the next renewal is to be sent or, if there is no lease, the next attempt
// to join.
func (l *Lease) Due() Instant { return l.next }

// Joined reports whether there is a lease to renew.
func (l *Lease) Joined() bool { return l.joined }

// Deadline is the instant from which on nothing is done as the owner of an app, unless a
// renewal succeeds first. It only ever grows, except that it is 0 once the lease is over.
func (l *Lease) Deadline() Instant { return l.deadline }

// View is the latest view of the fleet. Callers must not change it.
func (l *Lease) View() store.FleetView { return l.view }

// Sent takes note that a join or a renewal is sent now.
func (l *Lease) Sent(now Instant) {
	l.next = now + l.rules.Renew
	l.unanswered++
}

// Renewed takes note that the join or the renewal that was sent at the given instant
// has succeeded. It returns the apps that were held and are now another node's, sorted by
// name: their sessions are to end.
func (l *Lease) Renewed(sent Instant, v store.FleetView) (lost []string) {
	l.joined = true
	l.deadline = max(l.deadline, sent+l.rules.Trust)
	if l.unanswered > 1 {
		// The store was away, perhaps for all nodes. Other nodes' leases have run out as this
		// one's may have, and they come back as this one does.
		l.sparing = sent + l.rules.Length
	}
	l.unanswered = 0
	l.view = v
	for _, a := range v.Apps {
		if _, lives := l.living(a.Node); lives {
			delete(l.orphans, a.Name)
		} else if _, known := l.orphans[a.Name]; !known {
			l.orphans[a.Name] = sent
		}
		h := l.held[a.Name]
		if h == nil || !l.goneOn(a, h.epoch) {
			continue
		}
		if h.state == owned {
			lost = append(lost, a.Name)
		}
		delete(l.held, a.Name)
	}
	return lost
}

// goneOn reports whether an app that this node claimed in an epoch has moved on since. What
// the store said may be older than the claim; it then shows a lower epoch.
func (l *Lease) goneOn(a store.FleetApp, epoch uint64) bool {
	return a.Epoch > epoch || a.Epoch == epoch && a.Node != l.node
}

// Over takes note that the store knows of no lease of this process, which must join again.
// What it holds may still be unclaimed by others; the view that comes with the new lease
// tells.
func (l *Lease) Over(now Instant) { l.joined, l.deadline, l.next = false, 0, now }

// Claimed takes note that an app was claimed. It reports whether it is held: the
// answer to a claim may come so late that the app has moved on since.
func (l *Lease) Claimed(app string, epoch uint64) (held bool) {
	if a, ok := l.latest(app); ok && l.goneOn(a, epoch) {
		return false
	}
	if h := l.held[app]; h != nil && h.epoch >= epoch {
		return h.epoch == epoch && h.state == owned
	}
	l.held[app] = &holding{epoch: epoch}
	return true
}

// Owns reports whether the node is to act as the owner of an app now, and the epoch in
// which it does.
func (l *Lease) Owns(app string, now Instant) (epoch uint64, ok bool) {
	h := l.held[app]
	if h == nil || h.state != owned || now >= l.deadline {
		return 0, false
	}
	return h.epoch, true
}

// Holds returns the epoch in which an app was claimed, whether or not the deadline has
// passed: once a renewal succeeds the node goes on with it.
func (l *Lease) Holds(app string) (epoch uint64, ok bool) {
	h := l.held[app]
	if h == nil || h.state != owned {
		return 0, false
	}
	return h.epoch, true
}

// Give lets go of an app for another node, and reports whether the node had it. The caller
// must tell the store, with that epoch, once everything that this node still writes for the
// app is written.
func (l *Lease) Give(app string) (epoch uint64, ok bool) {
	h := l.held[app]
	if h == nil || h.state == given {
		return 0, false
	}
	h.state = giving
	return h.epoch, true
}

// Given takes note that the store knows that this node has let go of an app, in that
// epoch, for the node to; or that another node had it by then.
func (l *Lease) Given(app string, epoch uint64, to string) {
	if h := l.held[app]; h != nil && h.state == giving && h.epoch == epoch {
		h.state, h.to = given, to
	}
}
