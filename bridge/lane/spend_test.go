package lane

import (
	"testing"
	"time"
)

// When a door has credit, devices that were never asked about go first, and then those that come
// back; of what is left for these, three quarters are kept for the log.
func TestWhoGoesOnCredit(t *testing.T) {
	for name, c := range map[string]struct {
		first, late    int // at the door
		credit, logged int
		quiet          bool
		goes, left     int
	}{
		"the first":                    {first: 3, credit: 2, logged: 5, goes: 2},
		"all of them":                  {first: 2, credit: 5, logged: 5, goes: 2, left: 3},
		"a quarter of the late":        {late: 9, credit: 8, logged: 5, goes: 2, left: 6},
		"three are for the log":        {late: 9, credit: 3, logged: 5, left: 3},
		"the log is empty":             {late: 9, credit: 4, goes: 4},
		"nothing is read at the end":   {late: 9, credit: 4, logged: 5, quiet: true, goes: 4},
		"the first, and then the late": {first: 2, late: 9, credit: 6, logged: 5, goes: 3, left: 3},
		"no credit":                    {first: 2, late: 2, logged: 5},
	} {
		t.Run(name, func(t *testing.T) {
			for _, why := range []Reason{Unreachable, Topic} {
				g := newRig(Overflow, nil)
				n := g.line(0)
				door := &g.lane.Door
				if why == Topic {
					door = &n.Door
				}
				door.shut(why, g.now.Mono)
				for i := range c.late {
					d := g.lane.device(n, token(i))
					d.queued = 1
					g.lane.next(d)
				}
				for i := range c.first {
					x := &note{device: c.late + i}
					it := &x.Item
					it.Owner = x
					it.Token, it.Line = token(c.late+i), n
					g.lane.enter(g.lane.device(n, it.Token), it)
				}
				g.disk.waiting[0], g.lane.quiet, door.credit = c.logged, c.quiet, c.credit
				g.lane.Tend(g.now)
				left := door.credit
				for _, w := range g.lane.draws {
					left += w.n
				}
				if goes := g.lane.loading.len() + len(g.queue); goes != c.goes || left != c.left || n.atDoor.size != c.first+c.late-goes {
					t.Errorf("%v: %d go, credit %d", why, goes, door.credit)
				}
			}
		})
	}
}

// The lane is woken by whatever there is to do.
func TestWake(t *testing.T) {
	for name, do := range map[string]func(*rig){
		"something is put": func(g *rig) { g.putOnly(&note{}) },
		"a device waits":   func(g *rig) { g.lane.park(g.lane.device(g.line(0), token(0)), time.Second) },
		"a queue is to be read": func(g *rig) {
			d := g.lane.device(g.line(0), token(0))
			d.queued = 1
			g.lane.next(d)
		},
		"one stands at a door": func(g *rig) {
			g.line(0).Door.shut(Topic, g.now.Mono)
			d := g.lane.device(g.line(0), token(0))
			d.queued = 1
			g.lane.next(d)
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(Overflow, nil)
			g.run()
			if g.run(); g.lane.Wake {
				t.Fatal("it is awake")
			}
			if do(g); !g.lane.Wake {
				t.Error("it sleeps on")
			}
		})
	}
}

// The probes that are due and cannot be had from memory are drawn from the log, and no more.
func TestDrawnBesideMemory(t *testing.T) {
	for k, want := range map[int][]draw{1: nil, 3: {{n: 2}}} {
		g := newRig(Overflow, nil)
		n := g.line(0)
		n.Door.shut(Topic, g.now.Mono)
		x := &note{}
		x.Owner, x.Token, x.Line = x, token(0), n
		g.lane.enter(g.lane.device(n, x.Token), &x.Item)
		g.disk.waiting[0] = 5
		g.lane.draw(nil, []*Line{n}, k)
		got := g.lane.draws
		if len(g.queue) != 1 || len(got) != len(want) || len(got) > 0 && got[0].n != want[0].n {
			t.Errorf("of %d, %d go from memory, and drawn are %+v", k, len(g.queue), got)
		}
	}
}
