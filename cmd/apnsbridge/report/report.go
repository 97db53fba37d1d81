package report

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"apnsbridge/binproto"
)

// most is how many providers are remembered; the one that was seen last longest ago
// makes room.
const most = 2_000

// Report is safe for concurrent use.
type Report struct {
	now   func() time.Time
	mu    sync.Mutex
	by    map[key]*Provider
	began time.Time            // since when it is watched
	used  map[string]time.Time // when which version of TLS was last used, on either port
	reads map[reader]Read
}

// New makes an empty report, with a clock of the wall.
func New(now func() time.Time) *Report {
	return &Report{now: now, by: make(map[key]*Provider), began: now(), used: make(map[string]time.Time),
		reads: make(map[reader]Read)}
}

// Conn is a connection of a provider. See may be called by one goroutine only.
type Conn struct {
	report *Report
	who    Who
	ask    func(binproto.Command, binproto.Layout) Resends

	mu     sync.Mutex
	habits Habits
	kind   Kind            // of the first frame
	layout binproto.Layout // of the first frame, by which the ledger knows it

	packets, judged, bad atomic.Uint64 // that the report does not know of

	// Under the report's lock.
	noted uint64 // frames that the report knows of
	entry *Provider
	over  atomic.Bool // Close was called; read without the lock too
}

// Open begins a connection. It is not in the report before its first frame.
func (r *Report) Open(who Who) *Conn { return &Conn{report: r, who: who} }

// Asks has the report ask what was found out of a provider that writes such frames. It
// must be called before the first frame; ask may take locks of its own, but none under
// which the methods of a Conn are called.
func (c *Conn) Asks(ask func(binproto.Command, binproto.Layout) Resends) { c.ask = ask }

// noteEvery is after how many frames of a connection the report hears of them, if it is
// not looked at before.
const noteEvery = 256

// See takes a frame.
func (c *Conn) See(n *binproto.Notification) {
	c.mu.Lock()
	var at time.Time // is of no interest later
	if c.habits.Frames < paced {
		at = c.report.now()
	}
	c.habits.See(n, at)
	if c.habits.Frames == 1 {
		c.kind, c.layout = kindOf(&c.habits), n.Layout
	}
	due := c.habits.Frames%noteEvery == 1
	c.mu.Unlock()
	if due {
		c.note()
	}
}

// seen is what its frames have in common so far.
func (c *Conn) seen() Habits {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.habits
}

// note lets the report know what was seen so far.
func (c *Conn) note() {
	habits, resends := c.seen(), Unsettled
	if c.ask != nil {
		resends = c.ask(habits.Command, c.layout)
	}
	r := c.report
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if c.over.Load() || habits.Frames <= c.noted {
		c.learn(resends)
		return
	}
	if c.entry == nil {
		if c.entry = r.enter(c, now); c.entry == nil {
			c.noted = habits.Frames // until then it is asked again with as many more
			return
		}
	}
	c.learn(resends)
	p := c.entry
	p.live[c] = habits
	p.Last = now
	r.use(c.who.TLS, now)
	p.turn(now)
	p.Days[days-1] += uint32(habits.Frames - c.noted)
	c.noted = habits.Frames
}

// learn takes what was found out and counted; what was known before is not forgotten for
// nothing. The caller holds r.mu.
func (c *Conn) learn(resends Resends) {
	c.collect()
	if c.entry != nil && resends != Unsettled {
		c.entry.Resends = resends
	}
}

// enter finds or makes the provider of a connection; nil: there is no room while all
// others are connected. The caller holds r.mu.
func (r *Report) enter(c *Conn, now time.Time) *Provider {
	k := keyOf(&c.who, c.kind)
	p := r.by[k]
	if p == nil {
		if len(r.by) >= most && !r.forget() {
			return nil
		}
		p = &Provider{Kind: c.kind, First: now, Day: dayOf(now), live: make(map[*Conn]Habits)}
		r.by[k] = p
	}
	p.Who = c.who
	p.Connections++
	return p
}

// forget drops the one that was heard of last longest ago, of those that are not
// connected, and reports whether there was one.
func (r *Report) forget() bool {
	var oldest key
	var last time.Time
	for k, p := range r.by {
		if len(p.live) == 0 && (last.IsZero() || p.Last.Before(last)) {
			oldest, last = k, p.Last
		}
	}
	delete(r.by, oldest)
	return !last.IsZero()
}

// Told counts an error packet.
func (c *Conn) Told() { c.count(&c.packets) }

// Judged counts a verdict of APNs on a notification. It may come after Close.
func (c *Conn) Judged() { c.count(&c.judged) }

// BadToken counts a verdict that was for a bad token. It may come after Close.
func (c *Conn) BadToken() { c.count(&c.bad) }

// count adds one without the report's lock, of which there is one for all verdicts of all
// connections. Behind Close no note comes that would collect it.
func (c *Conn) count(what *atomic.Uint64) {
	what.Add(1)
	if !c.over.Load() {
		return
	}
	c.report.mu.Lock()
	defer c.report.mu.Unlock()
	c.collect()
}

// collect takes into the report what was counted. The caller holds r.mu.
func (c *Conn) collect() {
	if p := c.entry; p != nil {
		p.Packets += c.packets.Swap(0)
		p.BadTokens += c.bad.Swap(0) // first: each was counted as a verdict before
		p.Verdicts += c.judged.Swap(0)
	}
}

// Close ends a connection.
func (c *Conn) Close() {
	habits := c.seen()
	if habits.Frames == 0 {
		return
	}
	c.note()
	r := c.report
	r.mu.Lock()
	defer r.mu.Unlock()
	c.over.Store(true)
	c.collect()
	if c.entry == nil {
		return
	}
	delete(c.entry.live, c)
	c.entry.Habits.Merge(habits)
}

// look has all that are connected say what they have seen.
func (r *Report) look() {
	var conns []*Conn
	r.mu.Lock()
	for _, p := range r.by {
		conns = slices.AppendSeq(conns, maps.Keys(p.live))
	}
	r.mu.Unlock()
	for _, c := range conns {
		c.note()
	}
}

// Providers returns what is known of each, those seen last first. The caller owns them.
func (r *Report) Providers() []Provider {
	r.look()
	all := r.copies()
	slices.SortFunc(all, func(a, b Provider) int {
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.App, b.App), cmp.Compare(a.Client, b.Client),
			cmp.Compare(a.Address, b.Address))
	})
	return all
}

func (r *Report) copies() []Provider {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]Provider, 0, len(r.by))
	for _, p := range r.by {
		p.turn(r.now())
		whole := *p
		whole.Feedback = r.reads[reader{p.App, p.Client}].Time
		for _, h := range p.live {
			whole.Habits.Merge(h)
		}
		whole.live = nil
		all = append(all, whole)
	}
	return all
}
