package lane

import (
	"testing"
	"time"
)

// What dozes is one notification that has failed once, or was throttled once: if that is
// forgotten in a restart, it is merely asked about once more.
func TestWhatDozes(t *testing.T) {
	plain := func(*rig, *note) {}
	for name, c := range map[string]struct {
		before func(*rig, *note) // before the answer
		answer Class
		want   state
	}{
		"throttled":                       {plain, Throttled, dozes},
		"failed":                          {plain, Failed, dozes},
		"asked before, without a failure": {func(_ *rig, n *note) { n.Flags.Attempts = 3 }, Throttled, dozes},
		"throttled again":                 {func(_ *rig, n *note) { n.Flags.Throttled = 1 }, Throttled, waits},
		"throttled again, as the operator asked for it": {func(g *rig, n *note) {
			n.Flags.Throttled = 1
			g.entry(n).early = true
		}, Throttled, dozes},
		"failed, and was throttled":   {func(_ *rig, n *note) { n.Flags.Throttled = 1 }, Failed, waits},
		"a strange answer":            {plain, Strange, waits},
		"no answer":                   {plain, NoAnswer, waits},
		"it was amended":              {func(_ *rig, n *note) { n.Flags.Amended = true }, Throttled, waits},
		"it has a new JWT":            {func(_ *rig, n *note) { n.Flags.Renewed = true }, Throttled, waits},
		"it is in its queue already":  {func(_ *rig, n *note) { n.stored = inQueue }, Throttled, waits},
		"it was read from the log":    {func(_ *rig, n *note) { n.Read = true }, Throttled, waits},
		"another behind it":           {func(g *rig, n *note) { g.arrive(&note{seq: 1}) }, Throttled, waits},
		"another on its way to disk":  {func(g *rig, n *note) { g.entry(n).arriving++ }, Throttled, waits},
		"others in its queue":         {func(g *rig, n *note) { g.entry(n).queued++ }, Throttled, waits},
		"half of the memory is used":  {func(g *rig, _ *note) { g.memory = g.room/2 + 1 }, Throttled, waits},
		"more entries than it may":    {func(g *rig, _ *note) { g.lane.Entries = 0 }, Throttled, waits},
		"the lane is stopped":         {func(g *rig, _ *note) { g.lane.Stop(g.now) }, Throttled, waits},
		"its wait is longer than one": {func(g *rig, _ *note) { g.lane.delays.First *= 2 }, Failed, waits},
	} {
		t.Run(name, func(t *testing.T) {
			inEachMode(t, true, func(t *testing.T, m Mode) {
				g := newRig(m, nil)
				g.arrive(&note{device: 1, seq: 7}) // others are served: no door closes
				n := &note{}
				g.arrive(n)
				g.run()
				c.before(g, n)
				g.lane.Answered(&n.Item, c.answer, false, g.now)
				want := c.want
				if m == Off {
					want = waits
				}
				if d := g.entry(n); d.state != want || d.due-g.now.Mono > time.Second && want == dozes {
					t.Errorf("its device is in state %d, due in %v; want %d", d.state, d.due-g.now.Mono, want)
				}
			})
		})
	}
}

// rows counts the notifications in logs and in queues.
func (g *rig) rows() (logged, queued int) {
	for _, r := range g.disk.rows {
		if r.queued {
			queued++
		} else {
			logged++
		}
	}
	return logged, queued
}

// What dozes is written once, to the log, and neither moved nor read before it goes again.
func TestDozesInTheLog(t *testing.T) {
	inEachMode(t, false, func(t *testing.T, m Mode) {
		asked := 0
		g := newRig(m, func(*note) Class {
			if asked++; asked == 1 {
				return Throttled
			}
			return Accepted
		})
		n := &note{}
		g.arrive(n)
		g.wait(500 * time.Millisecond)
		if logged, queued := g.rows(); logged != 1 || queued != 0 || g.inMemory() != 1 {
			t.Errorf("%d in the log, %d in queues, %d in memory; want it in the log and in memory", logged, queued, g.inMemory())
		}
		if g.released == 0 {
			t.Error("its provider still waits for it")
		}
		other := &note{device: 1}
		if g.arrive(other); m == Overflow && g.entry(other).state != out {
			t.Error("others do not go straight")
		}
		id := n.ID
		took := g.until(time.Minute, func() bool { return g.accepted == 2 })
		if n.ID != id || n.Read || took > time.Second {
			t.Errorf("it goes after %v with ID %d, and had %d", took, n.ID, id)
		}
		if g.settle(); len(g.disk.rows) != 0 || len(g.line(0).devices) != 0 || g.lane.asleep != 0 || g.memory != 0 {
			t.Errorf("left are %d on disk, %d entries, %d asleep, %d bytes", len(g.disk.rows), len(g.line(0).devices),
				g.lane.asleep, g.memory)
		}
	})
}

// found takes in n as read from the log.
func (g *rig) found(n *note) {
	g.disk.last++
	g.disk.add(&row{id: g.disk.last, device: n.device, seq: n.seq, size: sizeOf, out: true})
	n.Item = Item{Owner: n, Line: g.line(0), Token: token(n.device), Size: sizeOf, ID: g.disk.last}
	n.Stored(false)
	g.lane.Enter([]*Read{{From: Log, Lines: []*Line{n.Line}, Got: []*Item{&n.Item}}}, g.now)
}

// What comes for a device that dozes goes to its queue, behind what is there; what is found of
// it in the log as well.
func TestDozesNoMore(t *testing.T) {
	for name, come := range map[string]func(*rig, *note){
		"it arrives": (*rig).arrive,
		"it is read from the log, at an open door": (*rig).found,
		"it is read from the log, at a door without credit": func(g *rig, n *note) {
			g.lane.Door.shut(Unreachable, g.now.Mono)
			g.found(n)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inEachMode(t, false, func(t *testing.T, m Mode) {
				g := newRig(m, func(*note) Class { return Accepted })
				first := &note{}
				g.arrive(first)
				g.run()
				g.lane.Answered(&first.Item, Throttled, false, g.now)
				g.run()
				if g.entry(first).state != dozes {
					t.Fatalf("the device is in state %d", g.entry(first).state)
				}
				g.queue = nil
				come(g, &note{seq: 1})
				for range 3 {
					g.run()
				}
				if logged, queued := g.rows(); logged+queued != 2 || queued == 0 || g.inMemory() != 0 {
					t.Errorf("%d in the log, %d in queues, %d in memory", logged, queued, g.inMemory())
				}
				g.lane.Door.open(g.now.Mono)
				if g.until(time.Minute, func() bool { return g.accepted == 2 }); g.asked() != 2 || g.order[0].seq != 0 {
					t.Errorf("asked about are %v", g.order)
				}
			})
		})
	}
}

// A lane that stops leaves what dozes in the log, where Start finds it.
func TestDozesUntilStop(t *testing.T) {
	inEachMode(t, false, func(t *testing.T, m Mode) {
		for name, written := range map[string]bool{"written": true, "being written": false} {
			t.Run(name, func(t *testing.T) {
				g := newRig(m, func(*note) Class { return Accepted })
				n := &note{}
				g.arrive(n)
				if m == Always || written {
					g.run()
				}
				g.lane.Answered(&n.Item, Throttled, false, g.now)
				if written {
					g.run()
				}
				g.queue = nil
				g.lane.Stop(g.now)
				g.run()
				if logged, queued := g.rows(); logged != 1 || queued != 0 || g.inMemory() != 0 || len(g.line(0).devices) != 0 {
					t.Errorf("%d in the log, %d in queues, %d in memory, %d entries", logged, queued, g.inMemory(),
						len(g.line(0).devices))
				}
				g.lane.Start(g.now)
				if g.until(time.Minute, func() bool { return g.accepted == 1 }); g.asked() != 1 {
					t.Errorf("asked about are %v", g.order)
				}
			})
		}
	})
}

// A device that dozes waits on its own account, like one whose queue is on disk: its item is
// given up where the device has reached its limit there, and a start asks about it early.
func TestDozesOnItsOwnAccount(t *testing.T) {
	g := newRig(Overflow, nil)
	n := &note{}
	g.arrive(n)
	g.lane.Answered(&n.Item, Throttled, false, g.now)
	if g.entry(n).state != dozes || !g.lane.Spills(&n.Item) {
		t.Errorf("its device is in state %d, and its item waits for room", g.entry(n).state)
	}
	g.begin(1)
	g.lane.Stop(g.now) // while it is being written
	g.lane.Start(g.now)
	if d := g.entry(n); d.state != out || !d.early {
		t.Errorf("its device is in state %d, early: %t", d.state, d.early)
	}
}
