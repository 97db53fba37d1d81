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
	Fleet    bool             // apps are another's until they are taken; Ledger is nil

	// Tombstones recognise after a crash what had been put into Spool; nil: nothing does.
	Tombstones tombstones.Store

	// SpoolBegins says that the spool is a new one: what the last run wrote, if it
	// wrote anything, is not in it.
	SpoolBegins bool
}

// Bridge delivers for all apps. Its work does not end with a connection, only
// with Close.
type Bridge struct {
	limits   Limits
	log      zerolog.Logger
	now      func() time.Time
	clock    *clock.Clock
	budget   *budget.Budget
	traces   *trace.Ring
	asleep   lane.Entries // devices that wait, of all lanes
	feedback *feedback.Writer
	mode     SpoolMode
	spool    Spool // nil: there is none
	fleet    bool

	spoolFault, readFault *pace.Fault

	ledgerBudget *conversation.Budget
	ledgerLog    *ledgerlog.Log
	tombs        *tombstones.Tombstones

	unsettled atomic.Int64  // notifications without a verdict, or with the feedback writer
	idle      chan struct{} // told when unsettled comes to 0

	ended   atomic.Bool     // by Close: nothing is sent any more
	hurried atomic.Bool     // Shutdown waits for no provider any more
	ctx     context.Context // of all work that was taken
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	// What writes to the store outlives the rest, for what the rest leaves to it.
	writers    sync.WaitGroup
	writing    context.Context // nil: nothing runs yet
	endWriters context.CancelFunc

	spared time.Time // when sessions were last asked for memory; of the clock alone

	reloading sync.Mutex // before mu

	mu       sync.Mutex
	apps     map[string]*app // that are configured, or have been
	sessions map[*Session]struct{}
	leaving  map[*Session]time.Time // of sessions, and until when they may
	clients  map[clientKey]*client
	outlets  []outlet // that were not closed yet
	stopping bool     // sessions come to their end, also those that are yet to begin
	closed   bool
	opened   uint64 // sessions, ever
}

var errClosed = errors.New("the bridge is closed")

// New starts a bridge. It dials when the first notification comes. Its errors
// are sentences for the one who configured the apps.
func New(c Config) (*Bridge, error) {
	b, err := newBridge(c)
	if err != nil {
		return nil, err
	}
	b.run()
	b.wg.Go(func() { b.runClock(b.ctx.Done()) })
	return b, nil
}

// run has lanes and what writes begin, but for the clock: tick is called by one at a time.
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
	case c.SpoolBegins && c.Tombstones != nil: // what had been put into the spool is lost
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

// Reload takes a new list of apps, or none of it: the first fault is returned
// and all stays as it was. Sessions of apps that are kept go on with the new
// settings, and with their connections to APNs where credential and endpoint are
// the same. Sessions of removed apps come to their end.
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

// Open begins a session for the provider behind peer. During Shutdown it still
// does, for whoever was about to come: such a session ends a moment later, when
// it is known what the provider had to say.
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

// everyApp gives all apps, those among them that are not configured any more.
func (b *Bridge) everyApp() []*app {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(maps.Values(b.apps))
}

// everyLane calls do with all lanes, one after the other.
func (b *Bridge) everyLane(do func(*appLane)) {
	for _, a := range b.everyApp() {
		for _, l := range a.lanes {
			do(l)
		}
	}
}
