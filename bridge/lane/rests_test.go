package lane

import (
	"math"
	"testing"
	"time"
)

// How long a lane rests: for ever with nothing in it or nothing that can be done, until what waits
// is due, and not at all while there is something to do or being read.
func TestRests(t *testing.T) {
	const ever = time.Duration(math.MaxInt64)
	failed := func(g *rig) {
		n := &note{}
		g.arrive(n)
		n.Flags.Throttled = 2
		g.lane.Answered(&n.Item, Throttled, true, g.now)
	}
	parked := func(g *rig) { failed(g); g.settle() }
	onDisk := func(g *rig) { // one in the log, and nothing of it in memory
		g.lane.Stop(g.now)
		g.arrive(&note{})
		g.settle()
	}
	for name, c := range map[string]struct {
		do   func(*rig)
		want time.Duration
	}{
		"nothing is in it":     {func(*rig) {}, ever},
		"one is with APNs":     {func(g *rig) { g.arrive(&note{}) }, 0},
		"one is to be written": {failed, 0},
		"one is being written": {func(g *rig) {
			failed(g)
			g.lane.Tend(g.now)
			if batch := g.lane.Begin(10, 1<<20, g.now); len(batch) == 0 {
				t.Error("nothing is written")
			}
		}, 0},
		"one waits for itself":         {parked, throttled[2]},
		"a part of its wait is over":   {func(g *rig) { parked(g); g.pass(time.Second) }, throttled[2] - time.Second},
		"it is due":                    {func(g *rig) { parked(g); g.pass(throttled[2]) }, 0},
		"it has been due for a while":  {func(g *rig) { parked(g); g.pass(time.Hour) }, 0},
		"it is stopped, all is stored": {onDisk, ever},
		"the log is to be read":        {func(g *rig) { onDisk(g); g.lane.Start(g.now) }, 0},
		"the log is being read": {func(g *rig) {
			onDisk(g)
			g.lane.Start(g.now)
			g.lane.Tend(g.now)
			if reads, _ := g.lane.Plan(g.now); len(reads) == 0 {
				t.Error("nothing is read")
			}
		}, 0},
		"nothing more is to be read": {func(g *rig) {
			onDisk(g)
			g.lane.Start(g.now)
			g.lane.Quiesce(g.now)
			g.settle()
		}, ever},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(Overflow, nil)
			g.settle()
			c.do(g)
			if got := g.lane.Rests(g.now); got != c.want {
				t.Errorf("it rests for %v, and not for %v", got, c.want)
			}
		})
	}
}
