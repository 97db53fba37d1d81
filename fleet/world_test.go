package fleet

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"apnsbridge/store"
)

var (
	histories = flag.Int("n", 50, "random histories")
	long      = flag.Bool("long", false, "run a hundred times as many")
)

// table is a naive model of what the store keeps.
type table struct {
	lives   map[string]int
	expires map[string]time.Duration
	apps    map[string]*store.FleetApp
	joins   int
}

func (t *table) alive(node string, now time.Duration) bool { return t.expires[node] > now }

func (t *table) view(now time.Duration) (v store.FleetView) {
	for _, name := range slices.Sorted(maps.Keys(t.expires)) {
		if t.alive(name, now) {
			v.Nodes = append(v.Nodes, store.FleetNode{Name: name})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.apps)) {
		v.Apps = append(v.Apps, *t.apps[name])
	}
	return v
}

// bridge is what a node's bridge has of an app.
type bridge struct {
	waits  []time.Duration // when each waiting session began to wait
	local  int             // local sessions
	loose  bool            // the local sessions go on without answers
	loaded uint64          // the epoch in which it was taken
	giving bool
}

// node is a machine and what its owner would do with it.
type node struct {
	w       *world
	name    string
	m       *Machine
	skew    time.Duration
	paused  time.Duration
	asked   bool
	leaves  bool
	left    bool
	lacks   string // the app that it is not configured with; empty: it has all
	life    int
	number  int // counts the processes under this name
	bridges map[string]*bridge
}

func (n *node) now() time.Duration { return n.w.now + n.skew }

func (n *node) bridge(app string) *bridge {
	if n.bridges[app] == nil {
		n.bridges[app] = new(bridge)
	}
	return n.bridges[app]
}

type event struct {
	at time.Duration
	do func()
}

type world struct {
	testing.TB
	rnd    *rand.Rand
	now    time.Duration
	table  table
	nodes  []*node
	events []event
	away   map[string]bool
	calm   bool
	rules  Rules
	log    []string
	done   map[Verb]int
}

const nodeCount, appCount = 3, 3

func newWorld(t testing.TB, seed uint64) *world {
	w := &world{TB: t, rnd: rand.New(rand.NewPCG(seed, 7)), away: map[string]bool{},
		rules: NewRules(6*time.Second, 8*time.Second), done: map[Verb]int{},
		table: table{lives: map[string]int{}, expires: map[string]time.Duration{}, apps: map[string]*store.FleetApp{}}}
	for i := range nodeCount {
		n := &node{w: w, name: fmt.Sprint("gw", i)}
		w.nodes = append(w.nodes, n)
		n.start()
	}
	return w
}

func (n *node) start() {
	n.number++
	n.skew = max(-n.w.now, time.Duration(n.w.rnd.IntN(600)-300)*time.Minute)
	n.m = New(n.name, n.w.rules, Config{
		Serves:  func(app string) bool { return app != n.lacks },
		Reaches: func(name string) bool { return n.w.node(name).paused <= n.w.now },
	})
	n.m.Sent(n.now() - time.Hour)
	n.life, n.asked, n.paused, n.leaves, n.left = 0, false, 0, false, false
	n.bridges = map[string]*bridge{}
}

func (w *world) node(name string) *node {
	return w.nodes[slices.IndexFunc(w.nodes, func(n *node) bool { return n.name == name })]
}

func (w *world) note(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf("%8v ", w.now)+fmt.Sprintf(format, args...))
}

func (w *world) fail(format string, args ...any) {
	w.Helper()
	for _, line := range w.log[max(0, len(w.log)-60):] {
		w.Log(line)
	}
	w.Fatalf(format, args...)
}

func (w *world) after(d time.Duration, do func()) { w.events = append(w.events, event{w.now + d, do}) }

func (w *world) hop(node string) (time.Duration, bool) {
	switch n := w.rnd.IntN(100); {
	case w.away[node]:
		return 0, false
	case w.calm || n < 75:
		return time.Duration(w.rnd.IntN(20)) * time.Millisecond, true
	case n < 96:
		return time.Duration(w.rnd.IntN(5000)) * time.Millisecond, true
	}
	return 0, false
}

// ask calls do at the store and then, at the node, what do returned; or lost, if no answer comes.
func (n *node) ask(do func() func(), lost func()) {
	w, number, answered := n.w, n.number, false
	var tell func(then func()) func()
	tell = func(then func()) func() {
		return func() {
			switch {
			case n.number != number || answered:
			case n.paused > w.now:
				w.events = append(w.events, event{n.paused, tell(then)})
			default:
				answered = true
				then()
				n.carryOut()
			}
		}
	}
	if d, ok := w.hop(n.name); ok {
		w.after(d, func() {
			then := do()
			if d, ok := w.hop(n.name); ok {
				w.after(d, tell(then))
			}
		})
	}
	w.after(10*time.Second, tell(lost))
}

func (n *node) step() {
	w := n.w
	if n.paused > w.now {
		return
	}
	if now := n.now(); !n.asked && !n.left && now >= n.m.Lease().Due() {
		n.renew(now)
	}
	n.m.Tick(n.now())
	n.carryOut()
	if n.lacks != "" && n.m.Give(n.lacks, "") { // as Member.Review does
		n.carryOut()
	}
	if n.leaves && !n.left {
		n.leave()
	}
}

// leave ends the lease once no app is being given any more.
func (n *node) leave() {
	for i := range appCount {
		if n.m.Place(fmt.Sprint("app", i)) == Giving {
			return
		}
	}
	n.w.note("%s leaves", n.name)
	n.left = true
	n.m.Left(n.now())
	n.carryOut()
	life := n.life
	n.ask(func() func() {
		if n.w.table.lives[n.name] == life {
			n.w.table.expires[n.name] = min(n.w.now, n.w.table.expires[n.name])
		}
		return func() {}
	}, func() {})
}

func (n *node) renew(sent time.Duration) {
	w, life := n.w, n.life
	n.asked = true
	n.m.Sent(sent)
	n.ask(func() func() {
		ok := w.table.alive(n.name, w.now)
		if life == 0 {
			if ok = !ok; ok {
				w.table.joins++
				life = w.table.joins
				w.table.lives[n.name] = life
			}
		} else {
			ok = ok && w.table.lives[n.name] == life
		}
		if ok {
			w.table.expires[n.name] = w.now + w.rules.Length
		}
		v := w.table.view(w.now)
		return func() {
			n.asked = false
			switch {
			case ok:
				n.life = life
				n.m.Renewed(sent, v, n.now())
			case n.m.Lease().Joined():
				n.life = 0
				n.m.Over(n.now())
			}
		}
	}, func() { n.asked = false })
}

// session is a provider that connects, or one that has to ask again. from is the node that
// carries it here, if any.
func (n *node) session(app, from string) {
	p, to := n.m.Session(app, from, n.now())
	b := n.bridge(app)
	switch {
	case to == n.name:
		n.w.fail("%s carries a session of %s to itself", n.name, app)
	case to != "":
	case p == Here || p == Loose:
		b.local++
		if b.loose != (p == Loose) {
			n.w.fail("%s: %s is %v and its sessions are loose: %v", n.name, app, p, b.loose)
		}
	case p == Claiming || p == Giving:
		b.waits = append(b.waits, n.w.now)
	default:
		n.w.fail("%s: a session of %s is neither carried nor local: %v", n.name, app, p)
	}
	n.carryOut()
}

// carryOut carries out the machine's actions and checks that they make sense.
func (n *node) carryOut() {
	for _, a := range n.m.Actions() {
		n.w.note("%s: %v %s (epoch %d, to %q)", n.name, a.Verb, a.App, a.Epoch, a.Node)
		n.w.done[a.Verb]++
		n.do(a)
	}
}

func (n *node) do(a Action) {
	b, w := n.bridge(a.App), n.w
	wrong := func(why string) { w.fail("%s: %v of %s: %s (%+v)", n.name, a.Verb, a.App, why, *b) }
	switch a.Verb {
	case Claim:
		n.claim(a.App)
	case Take:
		if b.loaded != 0 {
			wrong("it was taken before")
		}
		n.take(a.App, a.Epoch)
	case Open:
		if b.loaded == 0 || b.loose || b.local > 0 {
			wrong("it is not there to be opened")
		}
		b.local, b.waits = len(b.waits), nil
	case Loosen:
		if b.loose || b.giving {
			wrong("it is not answered for")
		}
		b.local, b.waits, b.loose = b.local+len(b.waits), nil, true
	case GoOn:
		if !b.loose || b.loaded == 0 {
			wrong("it is not loose, or not taken")
		}
		b.loose = false
	case End:
		if len(b.waits) > 0 {
			wrong("sessions wait")
		}
		*b = bridge{}
	case Drop:
		if b.loaded == 0 || b.local > 0 {
			wrong("there is nothing to drop, or somebody uses it")
		}
		b.loaded = 0
	case Carry:
		if a.Node == n.name || b.local > 0 {
			wrong("to itself, or what is local")
		}
		waits := b.waits
		b.waits = nil
		for range waits {
			if a.Node == "" {
				n.session(a.App, "")
			}
		}
	case Release:
		if b.loaded != a.Epoch || b.loose {
			wrong("it is not here")
		}
		b.giving = true
		n.release(a)
	case Decline:
		if b.loaded != 0 || a.App != n.lacks {
			wrong("it is of use here")
		}
		n.decline(a)
	}
}

func (n *node) claim(app string) {
	w, life := n.w, n.life
	n.ask(func() func() {
		mine := w.table.lives[n.name] == life && w.table.alive(n.name, w.now)
		a := w.table.apps[app]
		if mine && a == nil {
			a = &store.FleetApp{Name: app}
			w.table.apps[app] = a
		}
		if !mine || a.Node != n.name && w.table.alive(a.Node, w.now) {
			return func() { n.m.Refused(app, n.now()) }
		}
		a.Node = n.name
		a.Epoch++
		epoch := a.Epoch
		w.note("store: %s has %s, epoch %d", n.name, app, epoch)
		return func() { n.m.Claimed(app, epoch, n.now()) }
	}, func() { n.m.Refused(app, n.now()) })
}

func (n *node) take(app string, epoch uint64) {
	n.ask(func() func() {
		return func() {
			n.bridge(app).loaded = epoch
			n.m.Taken(app, epoch, true, n.now())
		}
	}, func() { n.m.Taken(app, epoch, false, n.now()) })
}

func (n *node) release(a Action) {
	w := n.w
	n.ask(func() func() {
		if row := w.table.apps[a.App]; row.Node == n.name && row.Epoch == a.Epoch {
			row.Node = a.Node
		}
		return func() {
			b := n.bridge(a.App)
			*b = bridge{waits: b.waits}
			n.m.Given(a.App, n.now())
		}
	}, func() { n.release(a) })
}

func (n *node) decline(a Action) {
	w := n.w
	n.ask(func() func() {
		if row := w.table.apps[a.App]; row.Node == n.name && row.Epoch == a.Epoch {
			row.Node = ""
		}
		return func() { n.m.Declined(a.App, a.Epoch, true, n.now()) }
	}, func() { n.m.Declined(a.App, a.Epoch, false, n.now()) })
}

func (w *world) stir() {
	n := w.nodes[w.rnd.IntN(nodeCount)]
	app := fmt.Sprint("app", w.rnd.IntN(appCount))
	switch r := w.rnd.IntN(100); {
	case r < 60:
		if n.paused <= w.now && app != n.lacks {
			from := "" // or any other node, even one that would not carry it here
			if by := w.nodes[w.rnd.IntN(nodeCount)]; by != n && w.rnd.IntN(3) == 0 {
				from = by.name
			}
			n.session(app, from)
		}
	case r < 70:
		n.paused = w.now + time.Duration(w.rnd.IntN(20000))*time.Millisecond
		w.note("%s is paused until %v", n.name, n.paused)
	case r < 73:
		w.note("%s is killed", n.name)
		n.start()
	case r < 80:
		if n.lacks = ""; w.rnd.IntN(3) > 0 {
			n.lacks = app
		}
		w.note("%s lacks %q", n.name, n.lacks)
	case r < 83:
		if n.paused <= w.now && !n.leaves {
			w.note("%s is about to leave", n.name)
			n.leaves = true
			n.m.Leave(n.now())
			for i := range appCount {
				n.m.Give(fmt.Sprint("app", i), w.nodes[(slices.Index(w.nodes, n)+1)%nodeCount].name)
			}
			n.carryOut()
		}
	case r < 87:
		w.away[n.name] = !w.away[n.name]
		w.note("%s away: %v", n.name, w.away[n.name])
	case r < 90:
		on := w.rnd.IntN(2) == 0
		for _, n := range w.nodes {
			w.away[n.name] = on
		}
		w.note("all away: %v", on)
	default:
		to := w.nodes[w.rnd.IntN(nodeCount)].name
		if to == n.name {
			to = ""
		}
		if n.paused <= w.now {
			n.m.Give(app, to)
			n.carryOut()
		}
	}
}

func (w *world) run(d time.Duration, stirring bool) {
	for end := w.now + d; w.now < end; w.now += 50 * time.Millisecond {
		slices.SortStableFunc(w.events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
		for len(w.events) > 0 && w.events[0].at <= w.now {
			e := w.events[0]
			w.events = w.events[1:]
			e.do()
		}
		if stirring && w.rnd.IntN(10) == 0 {
			w.stir()
		}
		for _, n := range w.nodes {
			n.step()
		}
		w.safe()
	}
}

func (w *world) safe() {
	for i := range appCount {
		app, by := fmt.Sprint("app", i), ""
		for _, n := range w.nodes {
			b := n.bridge(app)
			if n.m.May(app, n.now()) {
				if by != "" {
					w.fail("%s and %s may both write packets for %s", by, n.name, app)
				}
				by = n.name
				if b.loaded == 0 || b.loose || b.giving {
					w.fail("%s may write packets for %s, of which it has %+v", n.name, app, *b)
				}
			}
			if n.paused <= w.now && !b.giving && len(b.waits) > 0 &&
				w.now-b.waits[0] > w.rules.Claim+100*time.Millisecond && n.m.Place(app) == Claiming {
				w.fail("%s: a session of %s waits for %v", n.name, app, w.now-b.waits[0])
			}
		}
	}
}

// In random histories no two nodes may ever write packets for one app at once, no session waits
// longer than Rules.Claim, and the machine's actions make sense to a bridge. When all is calm,
// each app that was ever used is in exactly one place, and no session is loose.
func TestHistories(t *testing.T) {
	n := *histories
	if *long {
		n *= 100
	}
	done := map[Verb]int{}
	for seed := range n {
		w := newWorld(t, uint64(seed))
		w.run(2*time.Minute, true)
		w.calm = true
		clear(w.away)
		for _, n := range w.nodes {
			if n.paused = min(n.paused, w.now); n.leaves {
				n.start()
			}
		}
		w.nodes[0].lacks = "" // so that each app can be somewhere
		w.run(40*time.Second, false)
		for i := range appCount {
			app, here := fmt.Sprint("app", i), 0
			for _, n := range w.nodes {
				if n.m.May(app, n.now()) {
					here++
					if app == n.lacks {
						w.fail("seed %d: %s is on %s, which is not configured with it", seed, app, n.name)
					}
				}
				if p, b := n.m.Place(app), n.bridge(app); p != Here && p != Elsewhere || b.loose || len(b.waits) > 0 {
					w.fail("seed %d: %s is %v on %s when all is calm: %+v", seed, app, p, n.name, *b)
				}
			}
			if w.table.apps[app] != nil && here != 1 {
				w.fail("seed %d: %s is here on %d nodes when all is calm", seed, app, here)
			}
		}
		for v, count := range w.done {
			done[v] += count
		}
	}
	for v := Claim; v <= Decline; v++ {
		if v != Drop && done[v] < n {
			t.Errorf("got %v only %d times in %d histories: too few to show anything", v, done[v], n)
		}
	}
	t.Log(done)
}
