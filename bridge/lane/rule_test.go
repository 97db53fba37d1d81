package lane

import (
	"testing"
	"time"
)

// amended gives a notification of which more has to be remembered than that it was asked about:
// where it waits on its own account, it does not doze.
func amended(device int) *note {
	n := &note{device: device}
	n.Flags.Amended = true
	return n
}

// parked makes a device wait on its own account, with a notification in its queue.
func (g *rig) parked(device int) *note {
	n := amended(device)
	g.arrive(n)
	g.lane.Answered(&n.Item, Throttled, false, g.now)
	g.run()
	return n
}

// putOnly arrives as if all were to be put.
func (g *rig) putOnly(n *note) *note {
	m := g.lane.Mode
	g.lane.Mode = Always
	g.arrive(n)
	g.lane.Mode = m
	return n
}

// An item is written to its device's queue if everything older of the device is there or goes there
// with it, else to the log.
func TestWhereItIsPut(t *testing.T) {
	for name, c := range map[string]struct {
		put   func(*rig) *note
		queue bool
	}{
		"a fresh one": {func(g *rig) *note { return g.putOnly(&note{}) }, false},
		"its device has a queue": {func(g *rig) *note {
			g.parked(0)
			return g.putOnly(&note{seq: 1})
		}, true},
		"its device has a queue, another's are in the log": {func(g *rig) *note {
			g.parked(0)
			g.disk.waiting[0] = 1
			return g.putOnly(&note{seq: 1})
		}, true},
		"its device has a queue, its own may be in the log": {func(g *rig) *note {
			g.parked(0)
			d, _ := g.line(0).find(token(0))
			d.clear = false
			g.disk.waiting[0] = 1
			return g.putOnly(&note{seq: 1})
		}, false},
		"its device has a queue, and one is moved": {func(g *rig) *note {
			g.parked(0)
			d, _ := g.line(0).find(token(0))
			d.moving++
			return g.putOnly(&note{seq: 1})
		}, false},
		"its device is awake, its first in its queue": {func(g *rig) *note {
			g.parked(0)
			g.pass(time.Second)
			g.run()
			return g.putOnly(&note{seq: 1})
		}, false},
		"it was asked": {func(g *rig) *note {
			n := amended(0)
			g.arrive(n)
			g.lane.Answered(&n.Item, Throttled, false, g.now)
			return n
		}, true},
		"it dozes": {func(g *rig) *note { return waiting(g, 1)[0] }, false},
		"it was asked, others are in the log": {func(g *rig) *note {
			g.disk.waiting[0] = 1
			n := amended(0)
			n.Item = Item{Owner: n, Line: g.line(0), Token: token(0), Size: sizeOf, Flags: n.Flags}
			g.lane.enter(g.lane.device(n.Line, n.Token), &n.Item)
			g.memory += sizeOf
			g.lane.Answered(&n.Item, Throttled, false, g.now)
			return n
		}, true},
		"it is behind one that was asked": {func(g *rig) *note { return waiting(g, 3)[2] }, true},
		"it is behind one from its queue, at a door": {func(g *rig) *note {
			g.parked(0)
			g.pass(time.Second)
			g.run()
			n := g.queue[len(g.queue)-1]
			x := &note{seq: 1}
			g.arrive(x)
			n.Flags.Attempts = 1
			g.lane.Door.shut(Unreachable, g.now.Mono)
			g.lane.Admit(&n.Item, g.now) // never asked, as far as is known
			return x
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(Overflow, nil)
			n := c.put(g)
			if g.begin(100); n.write == due || n.ToQueue() != c.queue {
				t.Errorf("to its queue: %v", n.ToQueue())
			}
		})
	}
}

// An item that was written enters its chain if it could go at once, else it leaves memory.
func TestWhatWasPut(t *testing.T) {
	for name, c := range map[string]struct {
		meanwhile func(*rig)
		place     place
		quiet     bool // it wakes the lane for nothing
	}{
		"nothing":                   {func(*rig) {}, chained, false},
		"its device is out":         {func(g *rig) { g.lane.device(g.line(0), token(0)).state = out }, chained, false},
		"the lane's door is closed": {func(g *rig) { g.lane.Door.shut(Refused, g.now.Mono) }, left, true},
		"the line's door is closed": {func(g *rig) { g.line(0).Door.shut(Topic, g.now.Mono) }, left, true},
		"the lane is stopped":       {func(g *rig) { g.lane.stopped = true }, left, true},
		"its device is asleep":      {func(g *rig) { g.lane.park(g.lane.device(g.line(0), token(0)), time.Hour) }, left, true},
		"its device has a queue":    {func(g *rig) { g.lane.device(g.line(0), token(0)).queued = 1 }, left, false},
		"one of it is moved":        {func(g *rig) { g.lane.device(g.line(0), token(0)).moving = 1 }, left, true},
		"the log holds something":   {func(g *rig) { g.disk.waiting[0] = 1 }, left, true},
		"memory is half used":       {func(g *rig) { g.memory = g.room }, left, true},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(Always, nil)
			n := &note{}
			g.arrive(n)
			items := g.begin(1)
			g.disk.put(items)
			c.meanwhile(g)
			g.lane.Wake = false
			if g.lane.Commit(1, false, g.now); n.place != c.place || c.quiet && g.lane.Wake {
				t.Errorf("its place is %d, the lane is woken: %v", n.place, g.lane.Wake)
			}
		})
	}
}

// With Overflow, what cannot be written is sent from memory if nothing on disk is before it.
func TestWhatCannotBeWritten(t *testing.T) {
	for name, c := range map[string]struct {
		mode      Mode
		meanwhile func(*rig)
		place     place
	}{
		"nothing":                 {Overflow, func(*rig) {}, chained},
		"with Always":             {Always, func(*rig) {}, arriving},
		"the lane is stopped":     {Overflow, func(g *rig) { g.lane.stopped = true }, arriving},
		"its device has a queue":  {Overflow, func(g *rig) { g.lane.device(g.line(0), token(0)).queued = 1 }, arriving},
		"one of it is moved":      {Overflow, func(g *rig) { g.lane.device(g.line(0), token(0)).moving = 1 }, arriving},
		"the log holds something": {Overflow, func(g *rig) { g.disk.waiting[0] = 1 }, arriving},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(c.mode, nil)
			n := g.putOnly(&note{})
			g.begin(1)
			c.meanwhile(g)
			if g.lane.Commit(0, false, g.now); n.place != c.place || n.write != due {
				t.Errorf("its place is %d", n.place)
			}
		})
	}
}

// An arrival makes a probe due at both doors, if the last probe had been asked about before.
func TestDoorsOfAnArrival(t *testing.T) {
	g := newRig(Overflow, nil)
	for _, d := range []*Door{&g.lane.Door, &g.line(0).Door} {
		d.shut(Refused, g.now.Mono)
		d.stale, d.Probe = true, time.Hour
	}
	g.arrive(&note{})
	for _, d := range []*Door{&g.lane.Door, &g.line(0).Door} {
		if d.Probe != g.now.Mono+time.Second {
			t.Errorf("it is due at %v", d.Probe)
		}
	}
}

// An item that is being written to the log while the one before it fails stays there: otherwise it
// would be in memory, and be written again.
func TestWrittenBehindOneThatFailed(t *testing.T) {
	g := newRig(Overflow, nil)
	first := &note{}
	g.arrive(first)
	n := g.putOnly(&note{seq: 1})
	items := g.begin(2)
	g.lane.Answered(&first.Item, Throttled, false, g.now)
	g.disk.put(items)
	if g.lane.Commit(2, false, g.now); n.place != left || n.Queued() || first.place != chained {
		t.Errorf("its place is %d, that of the first %d", n.place, first.place)
	}
	if items := g.begin(2); len(items) != 1 || !first.ToQueue() {
		t.Errorf("%d are to be written", len(items))
	}
}
