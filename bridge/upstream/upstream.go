package upstream

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/bridge/h2conn"
)

// Upstream carries pushes to one endpoint of APNs, over connections of its own:
// few at first, and more as far as they are needed. Pushes wait in one queue. A
// single goroutine fills the connections from it, as many streams and bytes at a
// time as each has room for.
//
// No method of a connection is called under the lock, and none of its owner.
type Upstream struct {
	app      string
	target   *target
	bearer   *bearer // nil with a certificate
	limits   Limits
	begin    func(*Push, time.Time) bool
	fetch    func(*Push)
	answered func(*Push, Verdict, time.Time)
	trouble  func(Verdict)
	log      zerolog.Logger
	now      func() time.Time

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	begun  time.Time
	due    atomic.Int64  // when run has something to do, in nanoseconds since begun; 0: not before something happens
	wake   chan struct{} // for run

	// Of run alone.
	prefixes prefixes
	batch    []*attempt
	requests []*h2conn.Request

	mu        sync.Mutex
	queue     pushQueue
	fresh     pushQueue // those that wait for a new connection
	all       []*connection
	inUse     []*connection // serving and aging; never changed, only replaced
	dials     dialPolicy
	vain      int  // connections in a row that have ended without an answer
	takes     bool // a push was accepted since one that is sent again was last not looked at
	trust     int  // how many more in a row may not be looked at; see maxUnlooked
	retired   bool
	closed    bool      // nothing is taken
	stale     string    // the last bearer for which connections were left
	idleSince time.Time // of Config.Now: retired, with nothing to do; else zero
	idle      []*attempt
	counts    counts
}

// Open begins to carry pushes to c.Endpoint, which was checked. It dials when the
// first is sent. It ends with ctx, but Close has to be called all the same.
func Open(ctx context.Context, c Config) *Upstream {
	limits := c.Limits.WithDefaults()
	u := &Upstream{
		app: c.App, target: newTarget(c.Endpoint, c.Credential), bearer: bearers.of(c.Credential, time.Now()), limits: limits,
		begin: c.Begin, fetch: c.Fetch, answered: c.Answered, trouble: c.Trouble, now: c.Now,
		log:   c.Log.With().Str("app", c.App).Logger(),
		wake:  make(chan struct{}, 1),
		dials: dialPolicy{limit: limits.Connections, interval: limits.DialInterval},
	}
	if u.now == nil {
		u.now = time.Now
	}
	if u.fetch == nil {
		u.fetch = func(*Push) {}
	}
	u.begun = u.now()
	u.prefixes.authority = u.target.authority
	u.ctx, u.cancel = context.WithCancel(ctx)
	u.wg.Go(u.run)
	return u
}

// App is the name of the app that u was opened for.
func (u *Upstream) App() string { return u.app }

// Send takes p and returns at once. Before the request it asks Begin, which may
// say that p is not to go; else Answered is called exactly once. Of an Upstream that is
// closed both are before Send returns.
func (u *Upstream) Send(p *Push) {
	u.mu.Lock()
	if u.closed {
		u.mu.Unlock()
		u.turnAway(p)
		return
	}
	if p.Fresh {
		p.after = u.counts.dials
		u.fresh.push(p)
	} else {
		u.queue.push(p)
	}
	u.mu.Unlock()
	u.rouse()
}

// Renew mints a JWT instead of bearer, which APNs calls expired, and takes fresh
// connections; if that was done already, it does nothing. The JWT is that of all
// who have the same signing key.
func (u *Upstream) Renew(bearer string) {
	if u.bearer == nil || !u.bearer.renew(bearer, time.Now()) {
		return
	}
	u.mu.Lock()
	if u.stale != bearer {
		u.stale = bearer
		u.leaveAll()
	}
	u.mu.Unlock()
	u.rouse()
}

// Retire ends the connections when all that was sent is answered.
func (u *Upstream) Retire() {
	u.mu.Lock()
	u.retired = true
	u.dials.hurry(u.now())
	u.mu.Unlock()
	u.rouse()
}

// Close ends the connections at once, and returns when nothing runs. What was
// sent and has no verdict is answered with NoConnection or NoAnswer, and so is what comes
// later.
func (u *Upstream) Close() {
	u.cancel()
	u.wg.Wait()
	u.mu.Lock()
	u.closed = true
	left, fresh := u.queue.takeAll(), u.fresh.takeAll()
	u.mu.Unlock()
	u.turnAway(left...)
	u.turnAway(fresh...)
}

// turnAway gives back pushes that came to an Upstream that is closed. Their owner may
// have another way for them.
func (u *Upstream) turnAway(all ...*Push) {
	now := u.now()
	for _, p := range all {
		if u.begin(p, now) {
			u.answered(p, Verdict{Class: NoConnection, Reason: "the upstream is closed"}, now)
		}
	}
}

// rouse has run look again. It is cheap while run has not yet done so.
func (u *Upstream) rouse() {
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

// Nudge wakes u if it has something to do by now, which is Config.Now: its timer goes
// by the machine's clock alone. It gives the time of that, zero if there is nothing
// to do before something happens.
func (u *Upstream) Nudge(now time.Time) (due time.Time) {
	after := u.due.Load()
	if after == 0 {
		return time.Time{}
	}
	if due = u.begun.Add(time.Duration(after)); !now.Before(due) {
		u.rouse()
	}
	return due
}

// run fills connections, opens and leaves them, until u is closed.
func (u *Upstream) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		filled := u.fill()
		now := u.now()
		wait := u.tend(now)
		if u.due.Store(0); wait > 0 {
			u.due.Store(int64(now.Sub(u.begun) + wait))
		}
		if filled && u.ctx.Err() == nil {
			continue
		}
		if wait > 0 {
			timer.Reset(wait)
		}
		select {
		case <-u.wake:
		case <-timer.C:
		case <-u.ctx.Done():
			return
		}
	}
}

// judge is verdictOn for p. A JWT is also stale if another one helps: one from the future,
// when the clock went ahead and was set right, and one that comes too soon.
func (u *Upstream) judge(p *Push, q *h2conn.Request) Verdict {
	v := verdictOn(q)
	switch {
	case u.bearer == nil:
	case v.Class == CredentialRefused && v.Reason == "InvalidProviderToken" && u.bearer.ahead(p.Bearer, time.Now()),
		v.Class == TokenUpdates && u.bearer.stepBack(p.Bearer, time.Now()):
		v.Class = StaleToken
	}
	return v
}

// logUnique lets a developer find a push to the sandbox in Apple's console.
func (u *Upstream) logUnique(p *Push, v Verdict) {
	if e := u.log.Debug(); e.Enabled() {
		e.Stringer("apns_id", p.Request.ID).Str("apns_unique_id", v.UniqueID).Int("code", v.Code).Str("reason", v.Reason).
			Msg("the sandbox has answered")
	}
}

// fail answers pushes for which there is no connection, all with v.
func (u *Upstream) fail(all []*Push, v Verdict) {
	now := u.now()
	for _, p := range all {
		u.answered(p, v, now)
	}
}

// IdleFor is how long u, which is retired, has had nothing to do at all: no
// connection, and nothing sent to it. 0 if it has, or is not retired.
func (u *Upstream) IdleFor(now time.Time) time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.idleSince.IsZero() || !u.empty() {
		return 0
	}
	return now.Sub(u.idleSince)
}
