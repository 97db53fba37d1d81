package bridge

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/bridge/budget"
	"apnsbridge/bridge/clock"
	"apnsbridge/bridge/conversation"
	"apnsbridge/bridge/feedback"
	"apnsbridge/bridge/lane"
	"apnsbridge/bridge/ledgerlog"
	"apnsbridge/bridge/pace"
	"apnsbridge/bridge/tombstones"
	"apnsbridge/bridge/trace"
)

// Config is what a bridge is made of.
type Config struct {
	Apps     []App
	Feedback feedback.Store
	Ledger   ledgerlog.Store // nil: after a restart no resend is recognised
	Spool    Spool           // not needed with SpoolOff
	Mode     SpoolMode
	Limits   Limits
	Log      zerolog.Logger
	Now      func() time.Time // nil: time.Now
	Fleet    bool             // apps belong to other processes until they are taken; Ledger is nil

	// Tombstones recognise, after a crash, notifications that had been put into Spool; may be nil.
	Tombstones tombstones.Store

	// SpoolBegins says that the spool is new: it has nothing that the last run may
	// have written.
	SpoolBegins bool
}

// Bridge delivers for all apps. Its work goes on when a connection ends, and stops
// only with Close.
type Bridge struct {
	limits   Limits
	log      zerolog.Logger
	now      func() time.Time
	clock    *clock.Clock
	budget   *budget.Budget
	traces   *trace.Ring
	asleep   lane.Entries // devices that wait, in all lanes
	feedback *feedback.Writer
	mode     SpoolMode
	spool    Spool // nil: there is none
	fleet    bool

	spoolFault, readFault *pace.Fault

	ledgerBudget *conversation.Budget
	ledgerLog    *ledgerlog.Log
	tombs        *tombstones.Tombstones

	unsettled atomic.Int64  // notifications without a verdict, or with the feedback writer
	idle      chan struct{} // receives when unsettled comes to 0

	ended  atomic.Bool     // by Close: nothing is sent any more
	ctx    context.Context // of all work that was accepted
	cancel context.CancelFunc
	wg     sync.WaitGroup

	// What writes to the store outlives the rest, which leaves work to it.
	writers    sync.WaitGroup
	writing    context.Context // nil: nothing runs yet
	endWriters context.CancelFunc

	spared time.Time // when sessions were last asked to free memory; used by tick alone

	reloading sync.Mutex // taken before mu

	mu       sync.Mutex
	apps     map[string]*app // configured now, or earlier
	sessions map[*Session]struct{}
	leaving  map[*Session]time.Time // sessions that are to end, and by when
	clients  map[clientKey]*client
	outlets  []outlet // not closed yet
	ending   *ending  // nil before Shutdown
	closed   bool
	opened   uint64 // sessions so far
}

var errClosed = errors.New("the bridge is closed")

// New starts a bridge. It dials when the first notification comes. Its errors are
// sentences for whoever configured the apps.
func New(c Config) (*Bridge, error) {
	b, err := newBridge(c)
	if err != nil {
		return nil, err
	}
	b.run()
	b.wg.Go(func() { b.runClock(b.ctx.Done()) })
	return b, nil
}

// run starts the lanes and the writers. It does not start the clock: only one goroutine may
// call tick.
func (b *Bridge) run() {
	b.writing, b.endWriters = context.WithCancel(context.Background())
	b.writers.Go(func() { b.feedback.Run(b.writing) })
	b.writers.Go(func() { b.ledgerLog.Run(b.writing.Done()) })
	b.everyLane(func(l *appLane) { l.during(func(lane.Now) {}) })
}

// newBridge makes a bridge in which nothing runs yet.
func newBridge(c Config) (*Bridge, error) {
	limits := c.Limits.WithDefaults()
	b := &Bridge{
		limits: limits, log: c.Log, now: c.Now,
		budget: budget.New(limits.QueuedBytes), mode: c.Mode, fleet: c.Fleet, traces: trace.NewRing(limits.TraceEntries),
		feedback:     feedback.NewWriter(c.Feedback, limits.RetryDelay, c.Log),
		ledgerBudget: conversation.NewBudget(limits.LedgerBytes),
		ledgerLog:    ledgerlog.New(c.Ledger, limits.RetryDelay, c.Log),
		idle:         make(chan struct{}, 1),
		apps:         make(map[string]*app),
		sessions:     make(map[*Session]struct{}),
		leaving:      make(map[*Session]time.Time),
		clients:      make(map[clientKey]*client),
	}
	if b.now == nil {
		b.now = time.Now
	}
	b.clock = clock.New(b.now)
	b.asleep.Limit = int64(limits.WaitingDevices)
	b.spoolFault = pace.NewFault(c.Log, time.Now, "the spool cannot be written: what waits stays in memory, and "+
		"connections are not read further when that is full", "the spool can be written again")
	b.readFault = pace.NewFault(c.Log, time.Now, "the spool cannot be read: what waits there stays there until it can",
		"the spool can be read again")
	if c.Mode != SpoolOff {
		b.spool = c.Spool
	}
	switch {
	case b.spool == nil:
		c.Tombstones = nil
	case c.SpoolBegins && c.Tombstones != nil: // what was put into the old spool is lost
		if err := c.Tombstones.Clear(); err != nil {
			return nil, err
		}
	}
	b.tombs = tombstones.New(c.Tombstones, limits.LedgerTTL, b.now(), c.Log)
	if err := b.ledgerLog.Open(c.Mode == SpoolAlways); err != nil {
		return nil, err
	}
	if c.SpoolBegins {
		b.ledgerLog.SpoolLost()
	}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	if err := b.Reload(c.Apps); err != nil {
		b.cancel()
		return nil, err
	}
	return b, nil
}

// Reload takes a new list of apps as a whole or not at all: if there is a fault in it,
// the first one is returned and everything stays as it was. Sessions of apps that are
// kept go on with the new settings, and with their connections to APNs where
// credential and endpoint are the same. Sessions of removed apps end.
func (b *Bridge) Reload(apps []App) error {
	seen := make(map[string]bool)
	for _, a := range apps {
		if seen[a.Name] {
			return fmt.Errorf("app %s is configured twice", a.Name)
		}
		seen[a.Name] = true
		if err := a.Check(b.now()); err != nil {
			return err
		}
	}
	b.reloading.Lock()
	defer b.reloading.Unlock()
	var after []func()
	b.mu.Lock()
	for _, conf := range apps {
		a := b.apps[conf.Name]
		if a == nil {
			a = b.newApp(conf.Name)
			b.apps[conf.Name] = a
		}
		after = append(after, b.reroute(a, conf))
	}
	for name, a := range b.apps {
		if !seen[name] && a.configured {
			after = append(after, b.takeOut(a))
		}
	}
	b.bringBack(b.ledgerLog)
	b.mu.Unlock()
	for _, then := range after {
		then()
	}
	return nil
}

// Open begins a session for the provider behind peer. It still does during Shutdown,
// for providers that were about to connect: such a session ends a moment later, once
// the provider has sent what it had to send.
func (b *Bridge) Open(peer Peer, origin Origin) (*Session, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.apps[origin.App]
	switch {
	case b.closed:
		return nil, errClosed
	case a == nil || !a.configured:
		return nil, fmt.Errorf("no app %q is configured", origin.App)
	case a.tenure == away:
		return nil, ErrAway
	case a.route.Load().app.TopicOf(origin.Topic) == "":
		return nil, fmt.Errorf("app %s: %w", a.name, errNoTopic)
	}
	b.opened++
	s := &Session{
		bridge: b, app: a, client: b.clientOf(a, origin), peer: peer, origin: origin, opened: b.now(), number: b.opened,
	}
	if err := s.hold(a.route.Load()); err != nil {
		return nil, err
	}
	s.client.mu.Lock()
	s.client.sessions++
	s.talk = s.client.ledger.Open(origin.home(), !a.route.Load().app.Continues(origin.Topic), s.opened)
	s.talk.Owner = s
	if origin.Mute {
		s.talk.Mute()
	}
	if a.hushed.Load() {
		s.talk.Hush(true, s.opened)
	}
	s.client.mu.Unlock()
	b.sessions[s] = struct{}{}
	return s, nil
}

// forget drops a session that is over.
func (b *Bridge) forget(s *Session) {
	s.letGo()
	b.mu.Lock()
	delete(b.sessions, s)
	delete(b.leaving, s)
	b.mu.Unlock()
}

// everyApp gives all apps, including those that are no longer configured.
func (b *Bridge) everyApp() []*app {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(maps.Values(b.apps))
}

// everyLane calls do with every lane, one after the other.
func (b *Bridge) everyLane(do func(*appLane)) {
	for _, a := range b.everyApp() {
		for _, l := range a.lanes {
			do(l)
		}
	}
}
