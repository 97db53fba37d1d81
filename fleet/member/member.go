// Package member runs a node's part of a fleet: it asks the store for leases, keeps up links
// to the other nodes, and carries out what the rules of package fleet decide.
//
// One goroutine renews the lease and another calls Tick; each claim has its own, and the jobs
// of one app run one after another.
package member

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/fleet"
	"apnsbridge/fleet/link"
	"apnsbridge/store"
)

// Config configures a member.
type Config struct {
	Leases store.Leases
	Rules  fleet.Rules
	Link   link.Config // Node is our name; State is the member's
	Self   func() store.FleetNode
	Serves func(app string) bool // reports whether we are configured with an app
	Apps   Apps
	Log    zerolog.Logger
}

// Apps is what a member does with apps. The calls for one app come one after another.
type Apps interface {
	// Take loads the state of an app that was claimed in an epoch.
	Take(ctx context.Context, app string, epoch uint64) error

	// Loosen lets an app's sessions go on without packets, GoOn with packets again.
	Loosen(app string)
	GoOn(app string)

	// Givable returns why an app cannot be given without losing what is known of it, nil if it can.
	// It does no I/O.
	Givable(app string) error

	// Hush lets an app's sessions go on without packets because the app is about to be given.
	Hush(app string)

	// Lose ends an app's sessions and drops its state: another node has the app.
	Lose(app string)

	// Release writes down the state of an app, which is given away when it returns.
	Release(ctx context.Context, app string)

	// Open opens a session that is carried here; Read gives a feedback list to a reader that is.
	link.Handler
}

// Guest is a connection for which a place is sought. Exactly one of its methods is called, once;
// a call of Here that returns an error does not count.
type Guest interface {
	Here() error // it is served here
	Carry(*link.Entry)
	Cut()
}

// Member is a node's part of a fleet.
type Member struct {
	Config
	began  time.Time
	owner  *link.Owner
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	hurry  chan struct{} // asks the store at once

	deadline atomic.Int64 // of the lease; read by state
	ending   atomic.Bool  // the node is about to leave; read by state
	given    atomic.Uint64

	mu      sync.Mutex
	machine *fleet.Machine
	apps    map[string]*app
	peers   map[string]*peer // by node name
	digests map[string]time.Time
	leaving bool
	stats   Stats
	ticked  fleet.Instant
}

// app is a member's work for one app.
type app struct {
	jobs    []func()
	busy    bool
	moving  bool // its packets have stopped: it is about to be given
	waiting []*visit
}

// Bits of the state that a node sends with each sign of life.
const (
	takesApps = 1 // it has a lease, and is not about to end
	ends      = 2 // it is about to
	oneGift   = 4 // the remaining bits: how many apps the node has given, modulo 64
)

// New returns a member. Start starts it.
func New(c Config) *Member {
	m := &Member{Config: c, began: time.Now(), hurry: make(chan struct{}, 1), apps: make(map[string]*app),
		peers: make(map[string]*peer), digests: make(map[string]time.Time)}
	m.machine = fleet.New(c.Link.Node, c.Rules, fleet.Config{Serves: c.Serves, Reaches: m.carriesTo})
	m.Link.State = m.state
	m.owner = link.NewOwner(m.Link, c.Apps)
	m.ctx, m.cancel = context.WithCancel(context.Background())
	return m
}

// Start begins to renew the lease and to accept links from l.
func (m *Member) Start(l net.Listener) {
	m.wg.Go(func() { m.renew() })
	m.wg.Go(func() { m.tick() })
	m.wg.Go(func() { m.serve(l) })
}

// serve accepts links until the listener is closed.
func (m *Member) serve(l net.Listener) {
	for {
		err := m.owner.Serve(l)
		if errors.Is(err, net.ErrClosed) || m.ctx.Err() != nil {
			return
		}
		m.Log.Error().Err(err).Msg("a link cannot be accepted") // too many open files, say
		select {
		case <-time.After(m.Rules.Retry):
		case <-m.ctx.Done():
			return
		}
	}
}

// Settle waits until other nodes have taken what closed sessions carried to them, and until all
// sessions that are carried here have ended. If ctx ends first, the error says what will be cut.
func (m *Member) Settle(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for m.owner.Open() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d connections that other nodes pass on to here have not ended: %w",
				m.owner.Open(), ctx.Err())
		}
	}
	m.mu.Lock()
	peers := slices.Collect(maps.Values(m.peers))
	m.mu.Unlock()
	for _, p := range peers {
		if e := p.live(); e != nil {
			if err := e.Settle(ctx); err != nil {
				return fmt.Errorf("node %s has not taken everything that is passed on to it: %w", e.Node(), err)
			}
		}
	}
	return nil
}

// Close ends the links, and with them all that they carry. The caller has closed the listener.
func (m *Member) Close() {
	m.cancel()
	m.owner.Close()
	m.wg.Wait()
	for name := range m.apps {
		for _, v := range m.waiters(name) {
			v.Cut()
		}
	}
}

func (m *Member) now() fleet.Instant { return time.Since(m.began) }

// state is what we tell other nodes about this one. It is called under a link's lock.
func (m *Member) state() byte {
	s := byte(m.given.Load()) * oneGift
	if m.ending.Load() {
		s |= ends
	} else if m.deadline.Load() > int64(m.now()) {
		s |= takesApps
	}
	return s
}

// tell passes an event to the machine and carries out the actions that follow.
func (m *Member) tell(event func(now fleet.Instant)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	event(m.now())
	m.deadline.Store(int64(m.machine.Lease().Deadline()))
	m.given.Store(m.stats.Given)
	m.carryOut()
}

// renew keeps the lease.
func (m *Member) renew() {
	for {
		m.mu.Lock()
		wait := m.machine.Lease().Due() - m.now()
		m.mu.Unlock()
		select {
		case <-time.After(max(wait, 0)):
		case <-m.hurry:
		case <-m.ctx.Done():
			return
		}
		m.ask()
	}
}

// ask renews the lease, or begins one.
func (m *Member) ask() {
	m.mu.Lock()
	sent, joined := m.now(), m.machine.Lease().Joined()
	m.machine.Sent(sent)
	leaving := m.leaving && !joined
	m.mu.Unlock()
	if leaving {
		return
	}
	ctx, cancel := context.WithTimeout(m.ctx, m.Rules.Trust)
	defer cancel()
	do := m.Leases.Join
	if joined {
		do = m.Leases.Renew
	}
	v, err := do(ctx, m.Self(), m.Rules.Length)
	switch {
	case err == nil:
		m.tell(func(now fleet.Instant) {
			m.stats.Failing = nil
			m.machine.Renewed(sent, v, now)
			m.noteDigests(v)
			m.meet(v)
		})
	case err == store.ErrLeaseOver:
		m.Log.Warn().Msg("the lease has run out: the node joins again")
		m.tell(m.machine.Over)
	default:
		m.tell(func(fleet.Instant) {
			if m.stats.Failing == nil && m.ctx.Err() == nil {
				m.Log.Error().Err(err).Msg("the lease cannot be renewed")
			}
			m.stats.Failing = err
		})
	}
}

// tick lets time pass.
func (m *Member) tick() {
	tick := time.NewTicker(max(m.Rules.Retry/2, 5*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-m.ctx.Done():
			return
		}
		if m.giftsSeen() {
			m.askSoon()
		}
		m.tell(func(now fleet.Instant) {
			m.countLoose(now)
			m.machine.Tick(now)
			m.review()
		})
	}
}

// askSoon makes the member ask the store at once.
func (m *Member) askSoon() {
	select {
	case m.hurry <- struct{}{}:
	default:
	}
}
