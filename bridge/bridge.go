package bridge

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/bridge/conversation"
	"apnsbridge/bridge/upstream"
)

// Config is what a bridge is made of.
type Config struct {
	Apps     []App
	Feedback Feedback
	Ledger   Ledger // nil: after a restart no resend is recognised
	Spool    Spool  // not needed with SpoolOff
	Mode     SpoolMode
	Limits   Limits
	Log      zerolog.Logger
	Now      func() time.Time // nil: time.Now

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
	budget   *budget
	waiting  *waiting
	backoff  backoff
	feedback *feedback
	spool    *spool // nil: there is none

	ledgerBudget *conversation.Budget
	ledgerLog    *ledgerLog

	unsettled atomic.Int64  // notifications without a verdict, or with the feedback writer
	idle      chan struct{} // told when unsettled comes to 0

	ended  atomic.Bool     // by Close: nothing is sent any more
	ctx    context.Context // of all work that was taken
	cancel context.CancelFunc
	wg     sync.WaitGroup

	// What writes to the store outlives the rest, for what the rest leaves to it.
	writers    sync.WaitGroup
	endWriters context.CancelFunc

	spared time.Time // when sessions were last asked for memory; of the clock alone

	mu        sync.Mutex
	apps      map[string]*app
	removed   []*app // by a reload, with notifications still on their way
	sessions  map[*Session]struct{}
	clients   map[clientKey]*client
	upstreams []*upstream.Upstream // that were not closed yet
	stopping  bool                 // sessions come to their end, also those that are yet to begin
	closed    bool
}

var errClosed = errors.New("the bridge is closed")

// New starts a bridge. It dials when the first notification comes. Its errors
// are sentences for the one who configured the apps.
func New(c Config) (*Bridge, error) {
	b, err := newBridge(c)
	if err != nil {
		return nil, err
	}
	b.wg.Go(func() {
		b.waiting.run(b.ctx.Done(), func(r *record) { r.app.send(r) })
	})
	b.wg.Go(func() { b.runClock(b.ctx.Done()) })
	var writing context.Context
	writing, b.endWriters = context.WithCancel(context.Background())
	b.writers.Go(func() { b.feedback.run(writing) })
	b.writers.Go(func() { b.ledgerLog.run(writing.Done()) })
	if b.spool != nil {
		b.writers.Go(func() { b.spool.run(writing) })
	}
	return b, nil
}

// newBridge makes a bridge in which nothing runs yet.
func newBridge(c Config) (*Bridge, error) {
	limits := c.Limits.withDefaults()
	b := &Bridge{
		limits: limits, log: c.Log, now: c.Now,
		budget: newBudget(limits.QueuedBytes), waiting: newWaiting(),
		backoff:      backoff{limits.RetryDelay, limits.RetryDelayMax, rand.Float64},
		feedback:     newFeedback(c.Feedback, limits.RetryDelay, c.Log),
		ledgerBudget: conversation.NewBudget(limits.LedgerBytes),
		ledgerLog:    newLedgerLog(c.Ledger, limits.RetryDelay, c.Log),
		idle:         make(chan struct{}, 1),
		apps:         make(map[string]*app), sessions: make(map[*Session]struct{}), clients: make(map[clientKey]*client),
	}
	if b.now == nil {
		b.now = time.Now
	}
	if c.Mode != SpoolOff {
		b.spool = newSpool(c.Spool, c.Mode, limits, c.Log)
	}
	if err := b.ledgerLog.load(); err != nil {
		return nil, err
	}
	if err := b.ledgerLog.begin(c.Mode == SpoolAlways); err != nil {
		return nil, fmt.Errorf("the resend ledger cannot be written: %w", err)
	}
	if c.SpoolBegins {
		b.ledgerLog.committed = false
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
		if err := a.check(b.now()); err != nil {
			return err
		}
	}
	b.mu.Lock()
	for _, conf := range apps {
		a := b.apps[conf.Name]
		if a == nil {
			a = b.newApp(conf.Name)
			b.apps[conf.Name] = a
		}
		b.reroute(a, conf)
		a.shelf.serves(a)
	}
	var ended []*Session
	for name, a := range b.apps {
		if seen[name] {
			continue
		}
		delete(b.apps, name)
		b.removed = append(b.removed, a)
		a.route.Load().retire()
		a.shelf.serves(nil)
		for s := range b.sessions {
			if s.app == a {
				ended = append(ended, s)
			}
		}
	}
	b.mu.Unlock()
	for _, s := range ended {
		s.end()
	}
	return nil
}

// newApp makes an app without a configuration, or finds the one of that name that
// was removed and has notifications on their way.
func (b *Bridge) newApp(name string) *app {
	if i := slices.IndexFunc(b.removed, func(a *app) bool { return a.name == name }); i >= 0 {
		a := b.removed[i]
		b.removed = slices.Delete(b.removed, i, i+1)
		return a
	}
	a := &app{name: name, bridge: b, chains: newChains()}
	a.badTokens = newBadTokens(b.limits.BadTokenTTL, b.limits.BadTokenTTLRepeated, b.limits.BadTokenEntries)
	b.ledgerLog.restoreGuard(a, b.now())
	a.account.budget = b.budget
	for e := range a.gates {
		a.gates[e].breaker.backoff = &b.backoff
	}
	a.health.app = name
	if b.spool != nil {
		a.shelf = b.spool.shelfOf(name)
	}
	return a
}

// reroute gives a the configuration conf.
func (b *Bridge) reroute(a *app, conf App) {
	old := a.route.Load()
	if old != nil {
		a.reconfigured(!old.app.same(conf))
	}
	if old != nil && old.app.same(conf) {
		a.route.Store(&route{app: conf, upstreams: old.upstreams})
		return
	}
	a.route.Store(b.newRoute(a, conf))
	if old != nil {
		old.retire()
		a.rerouted(old.app.Environment != conf.Environment)
	}
}

func (b *Bridge) newRoute(a *app, conf App) *route {
	rt := &route{app: conf}
	for e := range rt.upstreams {
		if env := Environment(e); conf.Environment == ByListener || conf.Environment == env {
			u := upstream.Open(b.ctx, upstream.Config{
				App: conf.Name, Endpoint: conf.endpoint(env), Credential: conf.Credential,
				Limits: b.limits.upstream(), Log: b.log, Now: b.now,
				Begin:    func(p *upstream.Push) bool { return p.Owner.(*record).begin() },
				Answered: func(p *upstream.Push, v upstream.Verdict) { a.answered(p.Owner.(*record), v) },
			})
			rt.upstreams[e] = u
			b.upstreams = append(b.upstreams, u)
		}
	}
	return rt
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
	case a == nil:
		return nil, fmt.Errorf("no app %q is configured", origin.App)
	case a.route.Load().app.topicFor(origin) == "":
		return nil, fmt.Errorf("app %s: %w", a.name, errNoTopic)
	}
	s := &Session{bridge: b, app: a, client: b.clientOf(a, origin), peer: peer, origin: origin, opened: b.now()}
	s.client.mu.Lock()
	s.client.sessions++
	s.talk = s.client.ledger.Open(origin.Address, !a.route.Load().app.continues(origin), s.opened)
	s.talk.Owner = s
	s.client.mu.Unlock()
	b.sessions[s] = struct{}{}
	return s, nil
}

// forget drops a session that is over.
func (b *Bridge) forget(s *Session) {
	b.mu.Lock()
	delete(b.sessions, s)
	b.mu.Unlock()
}

// settled says that n notifications have left.
func (b *Bridge) settled(n int64) {
	if b.unsettled.Add(-n) == 0 {
		select {
		case b.idle <- struct{}{}:
		default:
		}
	}
}

// Shutdown lets all sessions come to their end, and returns when they have been
// told, all that was taken is settled or on disk, and the feedback list has what
// it should. What providers still write meanwhile is delivered too. An error says
// how much is left; with a spool Close writes that to disk.
func (b *Bridge) Shutdown(ctx context.Context) error {
	b.mu.Lock()
	b.stopping = true
	b.mu.Unlock()
	tick := time.NewTicker(tickInterval)
	defer tick.Stop()
	for b.endSessions() > 0 || b.unsettled.Load() > 0 {
		if b.spool != nil {
			b.spool.closed.Store(true)
			b.shelveWaiting()
		}
		select {
		case <-b.idle:
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d notifications are without a verdict: %w", b.unsettled.Load(), ctx.Err())
		}
	}
	return nil
}

// shelveWaiting ends the wait of all that wait for APNs: they go on after a
// restart, if there is a spool.
func (b *Bridge) shelveWaiting() {
	waiting := b.waiting.takeAll()
	for _, a := range b.everyApp() {
		for e := range a.gates {
			waiting = append(waiting, a.gates[e].takeAll()...)
		}
		waiting = append(waiting, a.hold.takeAll()...)
	}
	for _, r := range waiting {
		r.app.abandon(r)
	}
}

// everyApp gives all apps, those among them that were removed and have
// notifications on their way.
func (b *Bridge) everyApp() []*app {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.AppendSeq(slices.Clone(b.removed), maps.Values(b.apps))
}

// settleIn is how long a new session has to show what its provider writes,
// before it can be ended in a way that loses nothing.
const settleIn = time.Second

// endSessions lets the sessions come to their end, but for those that have only
// just begun: it says how many these are. It is called again and again while the
// bridge is stopping.
func (b *Bridge) endSessions() (young int) {
	now := b.now()
	b.mu.Lock()
	var ending []*Session
	for s := range b.sessions {
		if now.Sub(s.opened) < settleIn {
			young++
			continue
		}
		ending = append(ending, s)
	}
	b.mu.Unlock()
	for _, s := range ending {
		s.end()
	}
	return young
}

// Close ends everything at once. What has no verdict yet goes to disk, or without
// a spool is counted as abandoned; what is on its way to the feedback list is
// still written.
func (b *Bridge) Close() {
	b.mu.Lock()
	b.closed = true
	all := b.upstreams
	b.mu.Unlock()
	b.ended.Store(true)
	if b.spool != nil {
		b.spool.closed.Store(true)
	}
	b.cancel()
	for _, u := range all {
		u.Close()
	}
	b.wg.Wait()
	for _, u := range all {
		u.Close() // of what was on its way to it
	}
	b.shelveWaiting()
	b.endWriters()
	b.writers.Wait()
	b.saveLedgers()
}

// saveLedgers writes down what providers may send again to whoever comes after
// us.
func (b *Bridge) saveLedgers() {
	b.mu.Lock()
	defer b.mu.Unlock()
	var records []conversation.Record
	for _, c := range b.clients {
		c.mu.Lock()
		records = append(records, c.ledger.Records(b.now())...)
		c.mu.Unlock()
	}
	b.ledgerLog.replace(records)
}
