package lane

import (
	"testing"
	"time"
)

// An item that can never be written is given up, unless it is with APNs or on disk.
func TestGiveUp(t *testing.T) {
	for name, c := range map[string]struct {
		setup func(*rig) *note // its lane has begun to write it
		gone  bool
		left  int // of its device, in memory
	}{
		"it arrives": {func(g *rig) *note {
			g.lane.Mode = Always
			n := &note{}
			g.arrive(n)
			return n
		}, true, 0},
		"it waits, the first": {func(g *rig) *note {
			n := &note{}
			g.arrive(n)
			g.lane.Answered(&n.Item, Throttled, false, g.now)
			return n
		}, true, 0},
		"it waits, the second of three": {func(g *rig) *note { return waiting(g, 3)[1] }, true, 2},
		"it waits, the last of three":   {func(g *rig) *note { return waiting(g, 3)[2] }, true, 2},
		"it is with APNs": {func(g *rig) *note {
			n := &note{}
			g.arrive(n)
			g.lane.Keep(&n.Item, g.now)
			return n
		}, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(Overflow, nil)
			n := c.setup(g)
			d, _ := g.line(0).find(n.Token)
			g.begin(100)
			g.lane.Commit(0, false, g.now)
			g.lane.GiveUp(&n.Item, g.now)
			k := 0
			for it := d.first; it != nil; it = it.behind {
				if k++; it.behind == nil && d.last != it {
					t.Error("the chain has a wrong end")
				}
			}
			if (g.ended[Crowded] == 1) != c.gone || k != c.left {
				t.Errorf("%v ended, %d in the chain", g.ended, k)
			}
			if g.run(); c.gone && n.place != left {
				t.Error("it is not gone")
			}
		})
	}
}

// An item that is with APNs and can never be written does not keep others from being written, even
// when the process ends. If it has to wait, writing it is tried again.
func TestGiveUpWithAPNs(t *testing.T) {
	for _, stopped := range []bool{false, true} {
		g := newRig(Overflow, nil)
		g.run()
		n, other := &note{}, &note{device: 1}
		g.arrive(n)
		g.arrive(other)
		g.lane.Keep(&n.Item, g.now)
		g.lane.Keep(&other.Item, g.now)
		if stopped {
			g.lane.Stop(g.now)
		}
		for times := 0; g.lane.Unwritten() > 0; times++ {
			if times > 2 {
				t.Fatalf("it is tried again and again; stopped: %v", stopped)
			}
			items := g.lane.Begin(100, 1<<20, g.now)
			if items[0] != &n.Item {
				g.disk.put(items)
				g.lane.Commit(len(items), false, g.now)
				continue
			}
			g.lane.Commit(0, false, g.now)
			g.lane.GiveUp(&n.Item, g.now)
		}
		if n.ID != 0 || other.ID == 0 || len(g.ended) > 0 {
			t.Errorf("stopped: %v: it has ID %d, the other %d; %v ended", stopped, n.ID, other.ID, g.ended)
		}
		g.lane.Answered(&n.Item, Throttled, false, g.now)
		if g.run(); n.ID == 0 {
			t.Errorf("stopped: %v: it waits, and is not written", stopped)
		}
	}
}

// What has no room on disk, because its device has reached its limit, is given up if others would
// wait for it; otherwise it waits.
func TestSpills(t *testing.T) {
	for name, c := range map[string]struct {
		setup func(*rig, *note)
		want  bool
	}{
		"its device is served":    {func(*rig, *note) {}, false},
		"its device waits":        {func(g *rig, n *note) { g.lane.Answered(&n.Item, Throttled, false, g.now) }, true},
		"APNs cannot be reached":  {func(g *rig, _ *note) { g.lane.Trouble(NoConnection, g.now) }, false},
		"its topic, the only one": {func(g *rig, _ *note) { g.lane.LineTrouble(g.line(0), g.now) }, false},
		"its topic, beside others": {func(g *rig, _ *note) {
			g.arrive(&note{topic: 1, device: 1})
			g.lane.LineTrouble(g.line(0), g.now)
		}, true},
		"all topics": {func(g *rig, _ *note) {
			g.arrive(&note{topic: 1, device: 1})
			g.lane.LineTrouble(g.line(0), g.now)
			g.lane.LineTrouble(g.line(1), g.now)
		}, false},
		"the process ends": {func(g *rig, _ *note) {
			g.lane.Trouble(NoConnection, g.now)
			g.lane.Stop(g.now)
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(Overflow, nil)
			g.run() // which finds that nothing is on disk
			n, behind := &note{}, &note{seq: 1}
			g.arrive(n)
			g.arrive(behind)
			c.setup(g, n)
			if got := g.lane.Spills(&behind.Item); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

// waiting puts k items of one device into memory, the first of which waits on its own account.
func waiting(g *rig, k int) (notes []*note) {
	for i := range k {
		notes = append(notes, &note{seq: i})
		g.arrive(notes[i])
	}
	g.lane.Answered(&notes[0].Item, Throttled, false, g.now)
	return notes
}

// When the process ends, everything that is in memory only ends, and what is on disk stays there.
func TestAbandon(t *testing.T) {
	inEachMode(t, true, func(t *testing.T, m Mode) {
		g := newRig(m, func(*note) Class { return NoConnection })
		for i := range 100 {
			g.arrive(&note{device: i % 30, seq: i / 30})
		}
		g.wait(3 * time.Second)
		g.disk.broken = true
		for i := range 50 {
			g.arrive(&note{device: 50 + i})
		}
		for len(g.flight) > 0 {
			g.step()
		}
		rows := len(g.disk.rows)
		g.lane.Abandon(g.now)
		if len(g.ended) > 1 || g.ended[Abandoned]+len(g.disk.rows) != 150 || len(g.disk.rows) != rows || g.memory != 0 {
			t.Errorf("%v ended, %d on disk, %d bytes in memory", g.ended, len(g.disk.rows), g.memory)
		}
	})
}
