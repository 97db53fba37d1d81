package lane

import (
	"testing"
	"time"
)

// parked has a device wait for itself, with a notification in its queue.
func (g *rig) parked(device int) *note {
	n := &note{device: device}
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

// Where what is put goes: to its device's queue if all older of it is there or goes there with it,
// else to the log.
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
		"it was asked": {func(g *rig) *note { return waiting(g, 1)[0] }, true},
		"it was asked, others are in the log": {func(g *rig) *note {
			g.disk.waiting[0] = 1
			g.lane.reading = false
			n := &note{}
			n.Item = Item{Owner: n, Line: g.line(0), Token: token(0), Size: sizeOf}
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

// What was put enters its chain if it could go straight on now, else it leaves memory.
func TestWhatWasPut(t *testing.T) {
	for name, c := range map[string]struct {
		meanwhile func(*rig)
		place     place
	}{
		"nothing":                   {func(*rig) {}, chained},
		"its device is out":         {func(g *rig) { g.lane.device(g.line(0), token(0)).state = out }, chained},
		"the lane's door is closed": {func(g *rig) { g.lane.Door.shut(Refused, g.now.Mono) }, left},
		"the line's door is closed": {func(g *rig) { g.line(0).Door.shut(Topic, g.now.Mono) }, left},
		"the lane is stopped":       {func(g *rig) { g.lane.stopped = true }, left},
		"its device is asleep":      {func(g *rig) { g.lane.park(g.lane.device(g.line(0), token(0)), time.Hour) }, left},
		"its device has a queue":    {func(g *rig) { g.lane.device(g.line(0), token(0)).queued = 1 }, left},
		"one of it is moved":        {func(g *rig) { g.lane.device(g.line(0), token(0)).moving = 1 }, left},
		"the log holds something":   {func(g *rig) { g.disk.waiting[0] = 1 }, left},
		"memory is half used":       {func(g *rig) { g.memory = g.room }, left},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(Always, nil)
			n := &note{}
			g.arrive(n)
			items := g.begin(1)
			g.disk.put(items)
			c.meanwhile(g)
			standing := g.line(0).atDoor.size
			if g.lane.Commit(1, false, g.now); n.place != c.place || g.line(0).atDoor.size != standing {
				t.Errorf("its place is %d; %d stand at the door", n.place, g.line(0).atDoor.size)
			}
		})
	}
}

// What cannot be written goes from memory in overflow, if nothing is before it on disk.
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

// What was read before an older one of the line came back to the log goes back too.
func TestReadBeforeAnOlderOneCameBack(t *testing.T) {
	g := newRig(Overflow, nil)
	g.memory = g.room // so that both leave memory
	for seq := range 2 {
		n := &note{seq: seq}
		n.Item = Item{Owner: n, Line: g.line(0), Token: token(0), Size: sizeOf}
		g.lane.Arrive(&n.Item, g.now)
	}
	items := g.begin(2)
	g.disk.put(items)
	g.lane.Commit(2, false, g.now)
	g.memory = 0
	read := func(limit int) []*Read {
		reads, room := g.lane.Plan(g.now)
		for _, r := range reads {
			r.Limit = limit
			g.disk.read(r, room, nil)
		}
		return reads
	}
	g.lane.Tend(g.now)
	g.lane.Enter(read(1), g.now)
	first := g.queue[0]
	reads := read(1)
	g.lane.Door.shut(Unreachable, g.now.Mono)
	if g.lane.Admit(&first.Item, g.now) || first.place != left {
		t.Fatal("the first has not gone back to the log")
	}
	g.lane.Door.open(g.now.Mono)
	g.lane.Enter(reads, g.now)
	if len(g.queue) > 1 || g.line(0).disk.Waiting() != 2 {
		t.Fatalf("%d sent, %d in the log", len(g.queue)-1, g.line(0).disk.Waiting())
	}
	g.run()
	if len(g.queue) != 2 || g.queue[1].seq != 0 {
		t.Error("the first is not the first")
	}
}

// How many of a log may be read: all, or what the one closed door has credit for.
func TestHowManyOfALogMayBeRead(t *testing.T) {
	for name, c := range map[string]struct {
		lane, line Reason
		want       int
	}{
		"open":                    {Open, Open, ofLog},
		"the lane's door, closed": {Refused, Open, 5},
		"the line's":              {Open, Topic, 7},
		"both":                    {Refused, Topic, 0},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(Overflow, nil)
			n := g.line(0)
			g.lane.Door.Reason, n.Door.Reason = c.lane, c.line
			g.lane.Door.credit, n.Door.credit = 5, 7
			if _, limit := g.lane.opens(n); limit != c.want {
				t.Errorf("%d may be read", limit)
			}
		})
	}
}

// When queues without an entry are looked for: if there are some, there is room for half as many
// entries, and who is found can go or be a probe.
func TestWhenQueuesAreListed(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*rig, *Line)
		want   bool
	}{
		"there are some":                 {func(*rig, *Line) {}, true},
		"there are none":                 {func(_ *rig, n *Line) { n.unlisted = false }, false},
		"half of the entries are used":   {func(g *rig, _ *Line) { g.lane.asleep = 50 }, true},
		"more than half are used":        {func(g *rig, _ *Line) { g.lane.asleep = 51 }, false},
		"half of them and one to read":   {func(g *rig, n *Line) { g.lane.asleep = 50; g.lane.loading.push(&device{line: n}) }, false},
		"the lane's door, nobody there":  {func(g *rig, _ *Line) { g.lane.Door.shut(Refused, 0) }, true},
		"the line's door, nobody there":  {func(_ *rig, n *Line) { n.Door.shut(Topic, 0) }, true},
		"the line's door, one is there":  {func(g *rig, n *Line) { n.Door.shut(Topic, 0); n.atDoor.size = 1 }, false},
		"an open door, one stands there": {func(g *rig, n *Line) { n.atDoor.size = 1 }, true},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(Overflow, nil)
			g.lane.Entries = 100
			n := g.line(0)
			n.unlisted = true
			if c.change(g, n); g.lane.lists(n) != c.want {
				t.Errorf("they are listed: %v", !c.want)
			}
		})
	}
}

// An arrival makes a probe due at both doors, if the last was one that had been asked before.
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

// A probe from the log whose device waits for itself, or that cannot be read, makes another due.
func TestProbeThatIsNotSpent(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*rig, *Read)
		due    bool
	}{
		"it goes":           {func(*rig, *Read) {}, false},
		"it cannot be read": {func(_ *rig, r *Read) { r.Got, r.Broken = nil, r.Got }, true},
		"it has expired":    {func(g *rig, r *Read) { r.Got[0].Expires = g.now.Wall }, true},
		"its device waits": {func(g *rig, r *Read) {
			g.lane.park(g.lane.device(r.Lines[0], token(0)), time.Hour)
			g.lane.device(r.Lines[0], token(0)).queued = 1
		}, true},
		"there is none, and none asked": {func(g *rig, r *Read) { g.lane.giveBack(&device{line: r.Lines[0]}, r.Got[0]); r.Got = nil }, false},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(Overflow, nil)
			g.lane.Door.shut(Refused, g.now.Mono)
			g.arrive(&note{})
			for range 2 {
				g.run()
			}
			g.pass(time.Minute)
			g.lane.Tend(g.now)
			reads, room := g.lane.Plan(g.now)
			var sample *Read
			for _, r := range reads {
				if g.disk.read(r, room, func(*Line, []byte) bool { return true }); r.From == Sample {
					sample = r
				}
			}
			if sample == nil || len(sample.Got) != 1 {
				t.Fatalf("%d reads", len(reads))
			}
			c.change(g, sample)
			if g.lane.Enter(reads, g.now); (g.lane.Door.Probe == g.now.Mono) != c.due {
				t.Errorf("the next is due at %v, now is %v", g.lane.Door.Probe, g.now.Mono)
			}
		})
	}
}
