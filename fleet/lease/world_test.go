package lease

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
	histories = flag.Int("n", 100, "random histories")
	long      = flag.Bool("long", false, "run a hundred times as many")
)

// table is a naive model of what the store keeps. It implements store.Leases: each request
// is carried out at one instant of the engine's clock.
type table struct {
	nodes map[string]*row
	apps  map[string]*store.FleetApp
	lives int // joins so far
}

type row struct {
	life    int
	expires time.Duration // on the engine's clock
}

func (t *table) alive(node string, now time.Duration) bool {
	n := t.nodes[node]
	return n != nil && n.expires > now
}

func (t *table) join(node string, now, length time.Duration) (life int, ok bool) {
	if t.alive(node, now) {
		return 0, false
	}
	t.lives++
	t.nodes[node] = &row{t.lives, now + length}
	return t.lives, true
}

func (t *table) renew(node string, life int, now, length time.Duration) (ok bool) {
	if n := t.nodes[node]; n == nil || n.life != life || n.expires <= now {
		return false
	}
	t.nodes[node].expires = now + length
	return true
}

func (t *table) claim(node string, life int, app string, now time.Duration) (epoch uint64, ok bool) {
	if n := t.nodes[node]; n == nil || n.life != life || n.expires <= now {
		return 0, false
	}
	a := t.apps[app]
	if a == nil {
		a = &store.FleetApp{Name: app}
		t.apps[app] = a
	}
	if a.Node != node && t.alive(a.Node, now) {
		return 0, false
	}
	a.Node = node
	a.Epoch++
	return a.Epoch, true
}

func (t *table) give(node, app string, epoch uint64, to string) {
	if a := t.apps[app]; a != nil && a.Node == node && a.Epoch == epoch {
		a.Node = to
	}
}

func (t *table) view(now time.Duration) (v store.FleetView) {
	for _, name := range slices.Sorted(maps.Keys(t.nodes)) {
		if t.alive(name, now) {
			v.Nodes = append(v.Nodes, store.FleetNode{Name: name})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.apps)) {
		v.Apps = append(v.Apps, *t.apps[name])
	}
	return v
}

// process is a node: a Lease and what its owner would do with it. Its clock is hours
// apart from the others', and may run a little faster or slower.
type process struct {
	w      *world
	name   string
	lease  *Lease
	skew   time.Duration
	speed  float64
	paused time.Duration // until this time of the world
	asked  bool          // a join or renewal is under way
	life   int           // 0: it must join
	wants  map[string]bool
	claims map[string]bool // under way
	number int             // counts the processes under this name: what an earlier one sent is void
}

func (p *process) now() time.Duration { return p.skew + time.Duration(float64(p.w.now)*p.speed) }

// event is something that happens at a time of the world.
type event struct {
	at time.Duration
	do func()
}

type world struct {
	testing.TB
	rnd    *rand.Rand
	now    time.Duration
	table  table
	nodes  []*process
	events []event
	away   map[string]bool // nodes that cannot reach the store
	calm   bool
	rules  Rules
	owner  map[string]uint64 // the highest epoch in which anybody acted
	log    []string
	takes  int
}

const appCount, nodeCount = 5, 4

func appName(i int) string { return fmt.Sprint("app", i) }

func newWorld(t testing.TB, seed uint64) *world {
	w := &world{TB: t, rnd: rand.New(rand.NewPCG(seed, 1)),
		table: table{nodes: map[string]*row{}, apps: map[string]*store.FleetApp{}},
		away:  map[string]bool{}, owner: map[string]uint64{}, rules: NewRules(6 * time.Second)}
	for i := range nodeCount {
		p := &process{w: w, name: fmt.Sprint("gw", i)}
		w.nodes = append(w.nodes, p)
		p.start()
	}
	return w
}

// start restarts the process, as after a kill.
func (p *process) start() {
	p.number++
	p.skew = time.Duration(p.w.rnd.IntN(600)-300) * time.Minute
	p.skew = max(p.skew, -p.w.now) // its clock starts with it
	p.speed = 1 + float64(p.w.rnd.IntN(3)-1)/100
	p.lease, p.life, p.asked, p.paused = New(p.name, p.w.rules), 0, false, 0
	p.lease.next = p.now()
	p.wants, p.claims = map[string]bool{}, map[string]bool{}
}

func (w *world) note(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf("%8v ", w.now)+fmt.Sprintf(format, args...))
}

func (w *world) after(d time.Duration, do func()) { w.events = append(w.events, event{w.now + d, do}) }

// hop returns how long a message takes, and false if it is lost.
func (w *world) hop(node string) (time.Duration, bool) {
	if w.away[node] {
		return 0, false
	}
	switch n := w.rnd.IntN(100); {
	case w.calm || n < 70:
		return time.Duration(w.rnd.IntN(20)) * time.Millisecond, true
	case n < 95:
		return time.Duration(w.rnd.IntN(9000)) * time.Millisecond, true
	}
	return 0, false
}

// ask calls do at the store and, if the answer arrives, what do returned at the node;
// otherwise it calls lost after a timeout.
func (p *process) ask(do func() func(), lost func()) {
	w, number := p.w, p.number
	answered := false
	back := func(then func()) func() {
		var arrive func()
		arrive = func() {
			switch {
			case p.number != number || answered:
			case p.paused > w.now: // the answer waits in the socket
				w.events = append(w.events, event{p.paused, arrive})
			default:
				answered = true
				then()
			}
		}
		return arrive
	}
	if d, ok := w.hop(p.name); ok {
		w.after(d, func() {
			then := do()
			if d, ok := w.hop(p.name); ok {
				w.after(d, back(then))
			}
		})
	}
	w.after(10*time.Second, back(lost))
}

// step does what a node's owner does when it wakes up.
func (p *process) step() {
	w := p.w
	if p.paused > w.now {
		return
	}
	now := p.now()
	if !p.asked && now >= p.lease.Due() {
		p.renew(now)
	}
	want := p.lease.Claims(now, func(string) bool { return true })
	for app := range p.wants {
		_, mine := p.lease.Holds(app)
		if _, taken := p.lease.Owner(app); !mine && !taken && p.lease.Joined() {
			want = append(want, app)
		}
	}
	slices.Sort(want)
	for _, app := range slices.Compact(want) {
		if !p.claims[app] {
			p.claim(app)
		}
	}
}

func (p *process) renew(now time.Duration) {
	w := p.w
	p.asked = true
	p.lease.Sent(now)
	life := p.life
	p.ask(func() func() {
		ok := true
		if life == 0 {
			life, ok = w.table.join(p.name, w.now, w.rules.Length)
		} else {
			ok = w.table.renew(p.name, life, w.now, w.rules.Length)
		}
		v := w.table.view(w.now)
		return func() {
			p.asked = false
			switch {
			case ok:
				p.life = life
				lost := p.lease.Renewed(now, v)
				w.note("%s renewed (life %d), lost %v", p.name, life, lost)
			case p.lease.Joined():
				p.life = 0
				p.lease.Over(p.now())
				w.note("%s is over", p.name)
			}
		}
	}, func() { p.asked = false })
}

func (p *process) claim(app string) {
	w, life := p.w, p.life
	p.claims[app] = true
	p.ask(func() func() {
		epoch, ok := w.table.claim(p.name, life, app, w.now)
		if ok {
			w.note("store: %s claims %s, epoch %d", p.name, app, epoch)
		}
		return func() {
			delete(p.claims, app)
			if ok && life == p.life {
				w.note("%s hears that it has %s, epoch %d: %v", p.name, app, epoch, p.lease.Claimed(app, epoch))
			}
		}
	}, func() { delete(p.claims, app) })
}

func (p *process) give(app, to string) {
	if epoch, ok := p.lease.Give(app); ok {
		delete(p.wants, app)
		p.w.note("%s gives %s, epoch %d, to %q", p.name, app, epoch, to)
		p.tell(app, epoch, to)
	}
}

func (p *process) tell(app string, epoch uint64, to string) {
	p.ask(func() func() {
		p.w.table.give(p.name, app, epoch, to)
		return func() { p.lease.Given(app, epoch, to) }
	}, func() {
		if p.lease.held[app] != nil && p.lease.held[app].epoch == epoch {
			p.tell(app, epoch, to)
		}
	})
}

// stir makes one random thing happen.
func (w *world) stir() {
	p := w.nodes[w.rnd.IntN(nodeCount)]
	switch n := w.rnd.IntN(100); {
	case n < 50:
		p.wants[appName(w.rnd.IntN(appCount))] = true
	case n < 62:
		p.paused = w.now + time.Duration(w.rnd.IntN(20000))*time.Millisecond
		w.note("%s is paused until %v", p.name, p.paused)
	case n < 67:
		w.note("%s is killed", p.name)
		p.start()
	case n < 77:
		w.away[p.name] = !w.away[p.name]
		w.note("%s away: %v", p.name, w.away[p.name])
	case n < 80:
		on := w.rnd.IntN(2) == 0
		for _, p := range w.nodes {
			w.away[p.name] = on
		}
		w.note("all away: %v", on)
	default:
		if apps := slices.Sorted(maps.Keys(p.lease.held)); len(apps) > 0 && p.paused <= w.now {
			to := w.nodes[w.rnd.IntN(nodeCount)].name
			if to == p.name || w.rnd.IntN(2) == 0 {
				to = ""
			}
			p.give(apps[w.rnd.IntN(len(apps))], to)
		}
	}
}

// run lets time pass, and checks all the while that no two nodes act as owners of one app.
func (w *world) run(d time.Duration, stirring bool) {
	for end := w.now + d; w.now < end; w.now += 50 * time.Millisecond {
		slices.SortStableFunc(w.events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
		for len(w.events) > 0 && w.events[0].at <= w.now {
			e := w.events[0]
			w.events = w.events[1:]
			e.do()
		}
		if stirring && w.rnd.IntN(12) == 0 {
			w.stir()
		}
		for _, p := range w.nodes {
			p.step()
		}
		w.safe()
	}
}

func (w *world) safe() {
	for i := range appCount {
		app, by := appName(i), ""
		for _, p := range w.nodes {
			epoch, ok := p.lease.Owns(app, p.now())
			switch {
			case !ok:
				continue
			case by != "":
				w.fail("%s and %s both act as owners of %s", by, p.name, app)
			case epoch < w.owner[app]:
				w.fail("%s acts as the owner of %s in epoch %d, behind epoch %d", p.name, app, epoch, w.owner[app])
			case w.table.apps[app].Node != p.name || w.table.apps[app].Epoch != epoch:
				w.fail("%s acts as the owner of %s in epoch %d, and the store says %+v", p.name, app, epoch,
					*w.table.apps[app])
			}
			if by = p.name; epoch > w.owner[app] {
				w.owner[app] = epoch
				w.takes++
			}
		}
	}
}

func (w *world) fail(format string, args ...any) {
	w.Helper()
	for _, line := range w.log[max(0, len(w.log)-60):] {
		w.Log(line)
	}
	w.Fatalf(format, args...)
}

// In random histories of pauses, kills, lost messages and clocks that are hours apart, no two
// nodes ever act as owners of one app at once, and epochs only grow. When all is calm again,
// every app that was ever claimed, or is wanted now, soon has one owner.
func TestHistories(t *testing.T) {
	n := *histories
	if *long {
		n *= 100
	}
	takes := 0
	for seed := range n {
		w := newWorld(t, uint64(seed))
		w.run(2*time.Minute, true)
		w.calm = true
		clear(w.away)
		for _, p := range w.nodes {
			p.paused = min(p.paused, w.now)
		}
		// Earlier requests take at most two hops or a timeout; then a lease runs out.
		w.run(2*9*time.Second+w.rules.Length+2*time.Second, false)
		for i := range appCount {
			app := appName(i)
			wanted := w.table.apps[app] != nil ||
				slices.ContainsFunc(w.nodes, func(p *process) bool { return p.wants[app] })
			owners := 0
			for _, p := range w.nodes {
				if _, ok := p.lease.Owns(app, p.now()); ok {
					owners++
				}
			}
			if wanted && owners != 1 {
				w.fail("seed %d: %s has %d owners when all is calm, want 1", seed, app, owners)
			}
		}
		takes += w.takes
	}
	if takes < 20*n {
		t.Errorf("got %d takeovers in %d histories: too few to show anything", takes, n)
	}
}
