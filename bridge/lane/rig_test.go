package lane

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

const (
	sizeOf = 100                   // bytes of a notification
	tick   = 50 * time.Millisecond // how long APNs takes to answer
)

// rig drives one lane against an APNs that answers by a function, in simulated time: each answer
// takes a tick, and at most streams requests are under way.
type rig struct {
	lane    *Lane
	disk    *fakeDisk
	now     Now
	apns    func(*note) Class
	streams int
	room    int64 // bytes of arrivals in memory, at most

	held   []*note // by sessions, for want of room
	queue  []*note // sent, and not yet written
	flight []*note
	memory int64 // bytes of arrivals in memory

	accepted, bad, givenUp int
	ended                  map[End]int
	at                     map[key]time.Duration // when each came to its end
	order                  []key                 // of all that was asked
	flowed                 int
	released               int
	rulings                []Ruling
	entries                int // devices known at a time, at most
}

func newRig(mode Mode, apns func(*note) Class) *rig { return newSeededRig(1, mode, apns) }

func newSeededRig(seed uint64, mode Mode, apns func(*note) Class) *rig {
	rnd := rand.New(rand.NewPCG(seed, 2))
	g := &rig{disk: newFakeDisk(rnd), apns: apns, streams: 1000, room: 200 * sizeOf,
		now:   Now{Mono: time.Second, Wall: 1_700_000_000, Time: time.Unix(1_700_000_000, 0)},
		ended: map[End]int{}, at: map[key]time.Duration{}}
	g.start(mode, 100*sizeOf, 20_000)
	return g
}

// start makes the lane anew, as a restart does. What is checked out comes back.
func (g *rig) start(mode Mode, ahead int64, entries int) {
	for _, w := range g.disk.rows {
		g.disk.checkOut(w, false)
	}
	g.queue, g.flight, g.memory = nil, nil, 0
	g.lane = New(Config{Mode: mode, Sink: g, Ahead: ahead, Entries: entries, Asleep: &Entries{}, Retry: time.Second,
		Random: g.disk.rnd,
		Delays: Delays{First: time.Second, Most: 2 * time.Minute, Held: 30 * time.Second, Random: g.disk.rnd.Float64}})
	for topic := range topics {
		g.line(topic)
	}
	g.lane.Start(g.now)
}

// line finds or makes the line of a topic.
func (g *rig) line(topic int) *Line {
	n := g.lane.Line(fmt.Sprint(topic))
	if n == nil {
		n = g.lane.AddLine(fmt.Sprint(topic), &fakeLine{g.disk, topic})
		n.Doubts(GuardTokens)
		n.Under("production")
	}
	return n
}

func (g *rig) Send(it *Item, _ bool)   { g.queue = append(g.queue, it.Owner.(*note)) }
func (g *rig) Release(*Item)           { g.released++ }
func (g *rig) Ruled(_ *Line, r Ruling) { g.rulings = append(g.rulings, r) }
func (g *rig) Full() bool              { return g.memory >= g.room }
func (g *rig) Roomy() bool             { return g.memory <= g.room/2 }
func (g *rig) Left(it *Item)           { g.Gone(it) }
func (g *rig) over(n *note)            { g.at[n.key()] = g.now.Mono }

func (g *rig) Gone(it *Item) {
	if !it.Read {
		g.memory -= it.Size
	}
}

func (g *rig) Ended(it *Item, how End) {
	g.ended[how]++
	g.over(it.Owner.(*note))
}

// arrive lets a session take n, as soon as there is room.
func (g *rig) arrive(n *note) {
	n.Owner, n.Token, n.Size = n, token(n.device), max(n.Size, sizeOf)
	g.held = append(g.held, n)
	g.offer()
}

func (g *rig) offer() {
	for len(g.held) > 0 && !g.Full() {
		n := g.held[0]
		g.held = g.held[1:]
		g.memory += n.Size
		n.Line = g.line(n.topic)
		g.lane.Arrive(&n.Item, g.now)
	}
}

// wait lets d pass.
func (g *rig) wait(d time.Duration) { g.until(d, func() bool { return false }) }

// until runs until done, and gives how long that took, or a day if it is longer than limit.
func (g *rig) until(limit time.Duration, done func() bool) time.Duration {
	begin := g.now.Mono
	for !done() {
		if g.now.Mono-begin > limit {
			return 24 * time.Hour
		}
		g.step()
	}
	return g.now.Mono - begin
}

func (g *rig) step() {
	g.settle()
	g.pass(tick)
	answered := g.flight
	g.write()
	for _, n := range answered {
		g.answer(n)
	}
	g.offer()
	for _, n := range g.lane.lines {
		g.entries = max(g.entries, len(n.devices))
	}
	if len(answered)+len(g.flight)+len(g.queue) == 0 && !g.lane.Wake {
		if at := g.lane.Next(); at > int64(g.now.Mono+time.Second) && at < math.MaxInt64 {
			g.pass(time.Second)
		}
	}
}

// settle lets the lane's goroutine do what is due now.
func (g *rig) settle() {
	for range 20 {
		if g.lane.Next() > int64(g.now.Mono) {
			break
		}
		g.run()
		g.offer()
	}
}

// write writes requests for what was sent, as far as there are streams.
func (g *rig) write() {
	g.flight = nil
	for len(g.queue) > 0 && len(g.flight) < g.streams {
		n := g.queue[0]
		g.queue = g.queue[1:]
		if g.lane.Troubled() && !g.lane.Admit(&n.Item, g.now) {
			continue
		}
		g.order = append(g.order, n.key())
		g.flight = append(g.flight, n)
	}
}

func (g *rig) answer(n *note) {
	c := g.apns(n)
	fate, gone := g.lane.Answered(&n.Item, c, true, g.now)
	switch {
	case fate == Waits:
		return
	case fate == GivenUp:
		g.givenUp++
		gone = g.lane.Finish(&n.Item)
	case c == Accepted:
		g.accepted++
	case c == BadToken:
		g.bad++
	}
	g.over(n)
	if gone {
		g.Gone(&n.Item)
	}
}

func (g *rig) asked() int { return len(g.order) }

func (g *rig) pass(d time.Duration) {
	g.now.Mono += d
	g.now.Time = g.now.Time.Add(d)
	g.now.Wall = g.now.Time.Unix()
}

// run is one round of the lane's goroutine.
func (g *rig) run() {
	l := g.lane
	l.Tend(g.now)
	if items := l.Begin(100, 1<<20, g.now); len(items) > 0 {
		k := g.disk.put(items)
		l.Commit(k, k < len(items) && !g.disk.broken, g.now)
	}
	if reads, room := l.Plan(g.now); len(reads) > 0 {
		for _, r := range reads {
			room = g.disk.read(r, room, func(n *Line, token []byte) bool { d, _ := n.find(token); return d == nil })
		}
		l.Enter(reads, g.now)
	}
	for _, then := range l.Passed() {
		then()
	}
}

// inMemory counts the notifications in chains.
func (g *rig) inMemory() (k int) {
	for _, n := range g.lane.lines {
		for _, d := range n.devices {
			for it := d.first; it != nil; it = it.behind {
				k++
			}
		}
	}
	return k
}

// inEachMode runs a scenario without a disk (if off is set) and with one.
func inEachMode(t *testing.T, off bool, f func(*testing.T, Mode)) {
	for m, name := range []string{Off: "off", Overflow: "overflow", Always: "always"} {
		if off || Mode(m) != Off {
			t.Run(name, func(t *testing.T) { f(t, Mode(m)) })
		}
	}
}

// within fails the test if took is longer than bound.
func within(t *testing.T, what string, took, bound time.Duration) {
	t.Helper()
	t.Logf("%s after %v", what, took)
	if took > bound {
		t.Errorf("%s after %v, and not within %v", what, took, bound)
	}
}
