package fleet

import (
	"maps"
	"slices"
	"time"

	"apnsbridge/fleet/lease"
	"apnsbridge/store"
)

// Instant is a time on a monotonic clock that begins with the process.
type Instant = lease.Instant

// Place is where an app lives, as this node sees it.
type Place uint8

// The places of the package's documentation.
const (
	Elsewhere Place = iota
	Claiming
	Here
	Giving
	Loose
)

// String is the word for the place on the admin port and in the log.
func (p Place) String() string {
	return [...]string{"elsewhere", "claiming", "here", "giving", "loose"}[p]
}

// Rules are the times of a fleet.
type Rules struct {
	lease.Rules
	Claim time.Duration // how long sessions wait for a claim
	Retry time.Duration // between two attempts to claim an app
}

// NewRules derives rules from the length of a lease and how long sessions wait.
func NewRules(length, claim time.Duration) Rules {
	return Rules{Rules: lease.NewRules(length), Claim: claim, Retry: length / 12}
}

// Seek is how long a place is sought for a session whose app's owner cannot be reached. The
// owner may have died, which others notice when its lease is over and theirs is renewed next;
// one renewal may fail.
func (r Rules) Seek() time.Duration { return max(r.Claim, r.Length+2*r.Renew) }

// Machine knows where apps live.
type Machine struct {
	node   string
	rules  Rules
	lease  *lease.Lease
	config Config
	apps   map[string]*app
	wanted []Action
	leaves leaving
}

// leaving is how far a node's shutdown has come.
type leaving uint8

const (
	stays  leaving = iota
	leaves         // it claims nothing more
	left           // it has no lease any more
)

// Config is what a machine asks its owner. Both functions answer from memory.
type Config struct {
	Serves  func(app string) bool  // reports whether the node is configured with an app
	Reaches func(node string) bool // reports whether the link to a node is up
}

// app is what a machine knows of an app.
type app struct {
	name  string
	place Place
	since Instant // when it became Claiming

	epoch  uint64  // in which it was taken; 0: not taken
	asking bool    // a Claim or a Take is under way
	retry  Instant // it is not claimed before then
	to     string  // if Giving: the node it is given to
}

// New returns the machine of a node that has yet to join.
func New(node string, r Rules, c Config) *Machine {
	return &Machine{node: node, rules: r, lease: lease.New(node, r.Rules), config: c, apps: make(map[string]*app)}
}

// Lease is the node's lease. Callers must not change it.
func (m *Machine) Lease() *lease.Lease { return m.lease }

// Place is where an app lives.
func (m *Machine) Place(name string) Place {
	if a := m.apps[name]; a != nil {
		return a.place
	}
	return Elsewhere
}

// May reports whether packets may be written, and shared state read, for an app now.
func (m *Machine) May(name string, now Instant) bool {
	a := m.apps[name]
	if a == nil || a.place != Here {
		return false
	}
	epoch, ok := m.lease.Owns(name, now)
	return ok && epoch == a.epoch
}

// Session tells where a session that comes now belongs. If node is not empty it is carried
// there; otherwise it is local (Here, Loose) or waits for an action (Claiming, Giving).
// A node without a lease carries sessions on as long as the last known owner answers.
//
// from is the node that carries the session here, empty if none does. If it is the last known
// owner, it has meanwhile given the app to this node.
func (m *Machine) Session(name, from string, now Instant) (p Place, node string) {
	a := m.of(name)
	if a.place != Elsewhere {
		return a.place, ""
	}
	owner := m.owner(name, now)
	if owner != "" && (owner != from || now < a.retry) {
		return Elsewhere, owner
	}
	m.beginClaim(a, now)
	if owner != "" && m.leaves == stays {
		a.asking = true
		m.want(Claim, a)
	}
	m.settle(a, now)
	return Claiming, "" // even if the app is Loose by now: the session waits for Loosen
}

// owner is the other node that has an app and can be reached, empty if there is none.
func (m *Machine) owner(name string, now Instant) string {
	owner, ok := m.lease.Owner(name)
	if !ok || owner.Name == m.node || now >= m.lease.Deadline() && !m.config.Reaches(owner.Name) {
		return ""
	}
	return owner.Name
}

func (m *Machine) of(name string) *app {
	a := m.apps[name]
	if a == nil {
		a = &app{name: name}
		m.apps[name] = a
	}
	return a
}

func (m *Machine) want(v Verb, a *app) {
	m.wanted = append(m.wanted, Action{Verb: v, App: a.name})
}

// Sent takes note that a join or a renewal is sent now.
func (m *Machine) Sent(now Instant) { m.lease.Sent(now) }

// Renewed takes note that the join or renewal that was sent at the instant sent has succeeded.
func (m *Machine) Renewed(sent Instant, v store.FleetView, now Instant) {
	if m.leaves == left {
		return // the answer was on its way when the lease ended
	}
	m.lease.Renewed(sent, v)
	m.Tick(now)
}

// Over takes note that the store knows of no lease of this process.
func (m *Machine) Over(now Instant) {
	m.lease.Over(now)
	m.Tick(now)
}

// Leave takes note that the node is about to end: it claims nothing more. Sessions of apps
// that no other node is known to have are loose from now on. The caller gives away the apps
// that are here.
func (m *Machine) Leave(now Instant) {
	m.leaves = max(m.leaves, leaves)
	m.Tick(now)
}

// Left takes note that the store is about to be told that the lease is over. No app is here
// any more, not even one that was claimed and not given.
func (m *Machine) Left(now Instant) {
	m.leaves = left
	m.Over(now)
}

// Claimed takes note that a claim has succeeded.
func (m *Machine) Claimed(name string, epoch uint64, now Instant) {
	a := m.of(name)
	a.asking = false
	m.lease.Claimed(name, epoch)
	m.settle(a, now)
}

// Refused takes note that a claim has failed, because another node has the app or the store
// could not be reached.
func (m *Machine) Refused(name string, now Instant) {
	a := m.of(name)
	a.asking, a.retry = false, now+m.rules.Retry
	m.settle(a, now)
}

// Taken takes note that the state of an app was loaded in an epoch, or could not be loaded:
// then it is tried again.
func (m *Machine) Taken(name string, epoch uint64, ok bool, now Instant) {
	a := m.of(name)
	a.asking = false
	if ok {
		a.epoch = epoch
	} else {
		a.retry = now + m.rules.Retry
	}
	m.settle(a, now)
}

// Give lets go of an app for the node named to, or for whoever comes first if that is
// empty. It reports whether there was anything to let go of.
func (m *Machine) Give(name, to string) bool {
	a := m.apps[name]
	if a == nil || a.place != Here {
		return false
	}
	epoch, ok := m.lease.Give(name)
	if !ok {
		return false
	}
	a.place, a.to = Giving, to
	m.wanted = append(m.wanted, Action{Verb: Release, App: name, Epoch: epoch, Node: to})
	return true
}

// Given takes note that the store knows that an app was given, or that another node had it by
// then.
func (m *Machine) Given(name string, now Instant) {
	a := m.of(name)
	if a.place != Giving {
		return
	}
	m.lease.Given(name, a.epoch, a.to)
	a.place, a.epoch, a.retry = Elsewhere, 0, now+m.rules.Retry
	m.want(Carry, a)
	m.wanted[len(m.wanted)-1].Node = a.to
}

// decline lets any other node have an app that belongs to this one, in an epoch, in the store.
func (m *Machine) decline(a *app, epoch uint64) {
	m.lease.Give(a.name)
	a.asking = true
	m.wanted = append(m.wanted, Action{Verb: Decline, App: a.name, Epoch: epoch})
}

// Declined takes note that the store knows that an app was declined in an epoch, or that it
// could not be told: then it is tried again.
func (m *Machine) Declined(name string, epoch uint64, ok bool, now Instant) {
	a := m.of(name)
	a.asking, a.retry = false, now+m.rules.Retry
	if ok {
		m.lease.Given(name, epoch, "")
	}
	if a.place == Claiming {
		a.place = Elsewhere
		m.want(Carry, a)
	}
}

// Tick lets time pass and works out the places of all apps anew.
func (m *Machine) Tick(now Instant) {
	if m.leaves == stays {
		for _, given := range m.lease.Strays(now, m.config.Serves) {
			if a := m.of(given.Name); a.place == Elsewhere && !a.asking && now >= a.retry {
				m.decline(a, given.Epoch)
			}
		}
		for _, name := range m.lease.Claims(now, m.config.Serves) {
			if a := m.of(name); a.place == Elsewhere && now >= a.retry {
				m.beginClaim(a, now)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.apps)) {
		m.settle(m.apps[name], now)
	}
}

// Next is the latest time for the next call of Tick.
func (m *Machine) Next(now Instant) Instant { return now + m.rules.Retry/2 }

// Actions returns the actions that have come up since the last call.
func (m *Machine) Actions() []Action {
	w := m.wanted
	m.wanted = nil
	return w
}

func (m *Machine) beginClaim(a *app, now Instant) { a.place, a.since = Claiming, now }
