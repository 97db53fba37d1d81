package lane

import (
	"slices"
	"testing"
	"time"
)

// How much of a log may be read: all of it, or as much as the one closed door has credit for.
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
			if _, limit := g.lane.opens(n); limit > 0 && limit != ofLog {
				t.Errorf("%d may be read though there is something to draw", limit)
			}
			g.lane.dry(g.lane.lines, true)
			if _, limit := g.lane.opens(n); limit != c.want {
				t.Errorf("%d may be read", limit)
			}
		})
	}
}

// Queues without an entry are looked for if there may be some, and the devices found can go or be
// probes: while at most half of the entries are used, and else now and then, if they can go.
func TestWhenQueuesAreListed(t *testing.T) {
	wait := func(g *rig, k int) { g.lane.waiting = slices.Repeat(dueHeap{{due: time.Hour}}, k) }
	crowded := func(g *rig) { wait(g, 51) }
	for name, c := range map[string]struct {
		change func(*rig, *Line)
		want   bool
	}{
		"there are some":                 {func(*rig, *Line) {}, true},
		"there are none":                 {func(_ *rig, n *Line) { n.unlisted = false }, false},
		"half of the entries are used":   {func(g *rig, _ *Line) { wait(g, 50) }, true},
		"more than half are used":        {func(g *rig, _ *Line) { crowded(g) }, false},
		"half of them and one to read":   {func(g *rig, n *Line) { wait(g, 50); g.lane.loading.push(&device{line: n}) }, false},
		"more than all stand at doors":   {func(g *rig, _ *Line) { g.lane.asleep = 1000 }, true},
		"the lane's door, nobody there":  {func(g *rig, _ *Line) { g.lane.Door.shut(Refused, 0) }, true},
		"the line's door, nobody there":  {func(_ *rig, n *Line) { n.Door.shut(Topic, 0) }, true},
		"the line's door, one is there":  {func(g *rig, n *Line) { n.Door.shut(Topic, 0); n.atDoor.size = 1 }, false},
		"an open door, one stands there": {func(g *rig, n *Line) { n.atDoor.size = 1 }, true},
		"more than half, for half a minute": {func(g *rig, _ *Line) {
			crowded(g)
			g.pass(walkPause)
		}, true},
		"the same, but there are none": {func(g *rig, n *Line) {
			crowded(g)
			g.pass(walkPause)
			n.unlisted = false
		}, false},
		"the same, at the line's door": {func(g *rig, n *Line) {
			crowded(g)
			g.pass(walkPause)
			n.Door.shut(Topic, 0)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(Overflow, nil)
			g.lane.Entries = 100
			n := g.line(0)
			g.settle()
			n.unlisted, n.walkAgain = true, g.now.Mono+walkPause
			c.change(g, n)
			g.lane.now, g.lane.Wake = g.now, false
			if g.lane.lists(n) != c.want {
				t.Errorf("they are listed: %v", !c.want)
			}
			if !c.want && n.unlisted && !g.lane.closed(n) && g.lane.loading.len() == 0 &&
				g.lane.Next() != int64(n.walkAgain) {
				t.Errorf("the lane wakes up at %v, and not when they are, at %v", time.Duration(g.lane.Next()), n.walkAgain)
			}
		})
	}
}

// The list goes on where it ended, and begins anew until a round has found none.
func TestListGoesOn(t *testing.T) {
	g := newRig(Overflow, nil)
	n := g.line(0)
	list := func(limit int, err error, found ...int) {
		r := &Read{From: List, Lines: []*Line{n}, After: n.walked, Limit: limit, Err: err}
		for _, d := range found {
			r.Devices = append(r.Devices, token(d))
		}
		g.lane.Enter([]*Read{r}, g.now)
	}
	for i, c := range []struct {
		limit    int
		err      error
		found    []int
		walked   string
		unlisted bool
	}{
		{2, nil, []int{1, 2}, "device2", true},
		{2, errUnread, nil, "device2", true},
		{2, nil, []int{3}, "", true}, // once more: some were found
		{2, nil, []int{1, 2}, "device2", true},
		{2, nil, nil, "", false}, // all had an entry
	} {
		if list(c.limit, c.err, c.found...); string(n.walked) != c.walked || n.unlisted != c.unlisted {
			t.Errorf("after %d lists: %q, unlisted %v", i+1, n.walked, n.unlisted)
		}
	}
	if len(n.devices) != 3 || g.lane.loading.len() != 3 {
		t.Errorf("%d entries, %d to be read", len(n.devices), g.lane.loading.len())
	}
}

// A list that is under way may be past a device that has lost its entry meanwhile: another one follows.
func TestListedWhileOthersAreGivenUp(t *testing.T) {
	for name, happen := range map[string]func(*rig){
		"an entry is given up": func(g *rig) { d, _ := g.line(0).find(token(0)); g.lane.evict(d) },
		"there is more":        func(g *rig) { g.lane.Found() },
		"it starts":            func(g *rig) { g.lane.Start(g.now) },
	} {
		t.Run(name, func(t *testing.T) {
			g := parkedOnDisk(1)
			n := g.line(0)
			n.unlisted, n.missed = true, false
			reads, _ := g.lane.Plan(g.now)
			happen(g)
			if g.lane.Enter(reads, g.now); len(reads) != 1 || !n.unlisted {
				t.Errorf("%d reads, and no other list follows", len(reads))
			}
		})
	}
}

// The same when the entry is given up with what was read beside the list.
func TestListedWhileWhatWasReadGoesBack(t *testing.T) {
	g := parkedOnDisk(1)
	n := g.line(0)
	d, _ := n.find(token(0))
	g.lane.forget(d)
	n.unlisted, d.state, g.lane.turn = true, loads, false // queues come first
	g.lane.loading.push(d)
	reads, room := g.lane.Plan(g.now)
	for _, r := range reads {
		if r.From == Queue {
			g.disk.read(r, room, nil)
		}
	}
	n.Door.shut(Topic, g.now.Mono)
	g.lane.Entries, n.atDoor.size = 0, atATime
	if g.lane.Enter(reads, g.now); len(reads) != 2 || len(n.devices) > 0 || !n.unlisted {
		t.Errorf("%d reads, %d entries, and no other list follows", len(reads), len(n.devices))
	}
}

// A device that is found and was thought to wait is read at once.
func TestListedDeviceIsDueNow(t *testing.T) {
	g := parkedOnDisk(1)
	n := g.line(0)
	d, _ := n.find(token(0))
	g.lane.evict(d)
	g.lane.Enter([]*Read{{From: List, Lines: []*Line{n}, Limit: 2, Devices: [][]byte{token(0)}}}, g.now)
	if d, _ := n.find(token(0)); d.state != loads || len(g.lane.waiting) > 0 || g.lane.asleep != 0 {
		t.Errorf("it is %d, %d wait", d.state, len(g.lane.waiting))
	}
}

// If an older item of the line has come back to the log during a read, what was read goes back too.
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

// A probe from the log whose device waits on its own account, or that cannot be read, makes another due.
func TestProbeThatIsNotSpent(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*rig, *Read)
		due    bool
	}{
		"it goes":           {func(*rig, *Read) {}, false},
		"it cannot be read": {func(_ *rig, r *Read) { r.Got, r.Broken = nil, r.Got }, true},
		"it has expired":    {func(g *rig, r *Read) { r.Got[0].Expires = g.now.Wall }, true},
		"its device waits": {func(g *rig, r *Read) {
			g.lane.park(g.lane.device(r.Got[0].Line, token(0)), time.Hour)
			g.lane.device(r.Got[0].Line, token(0)).queued = 1
		}, true},
		"there is none, and none asked": {func(g *rig, r *Read) { g.lane.giveBack(&device{line: r.Got[0].Line}, r.Got[0]); r.Got = nil }, false},
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

// When an item stays in the log, so does everything of its device behind it, and nothing else.
func TestUnmove(t *testing.T) {
	g := newRig(Overflow, nil)
	for _, n := range g.lane.lines {
		n.returned = 1 << 40
	}
	var moved []*note
	for i, d := range []int{0, 0, 1, 0} {
		n := &note{device: d, seq: i, topic: i / 3}
		n.Item = Item{Owner: n, Line: g.line(n.topic), Token: token(d), Size: sizeOf}
		moved = append(moved, n)
	}
	for _, n := range moved {
		g.disk.last++
		g.disk.add(&row{id: g.disk.last, topic: n.topic, device: n.device, seq: n.seq, size: sizeOf, out: true})
		n.ID = g.disk.last
		n.Stored(false)
		g.lane.device(n.Line, n.Token).queued = 1
		if g.lane.enterRead(&n.Item, false, true) || n.place != moving {
			t.Fatalf("its place is %d", n.place)
		}
	}
	d, _ := g.line(0).find(token(0))
	x := &Item{Line: d.line, Token: d.token.bytes(), Owner: &note{}} // it went on from memory
	x.place, x.write = chained, due
	d.first, d.last, d.state = x, x, out
	if items := g.begin(100); len(items) != 2 || !items[0].ToQueue() {
		t.Errorf("%d are to be written", len(items))
	}
	for i, want := range []place{left, left, moving, moving} {
		if moved[i].place != want {
			t.Errorf("the place of %d is %d", i, moved[i].place)
		}
	}
	if d.moving != 0 || g.lane.Unwritten() != 2 || g.line(0).disk.Waiting() != 2 {
		t.Errorf("%d are moved, %d to be written", d.moving, g.lane.Unwritten())
	}
}

// A pass is for one that goes now, and not for what comes behind another.
func TestPassIsForOneThatGoes(t *testing.T) {
	g := newRig(Overflow, nil)
	g.arrive(&note{})
	d, _ := g.line(0).find(token(0))
	n := &note{seq: 1}
	n.Item = Item{Owner: n, Line: g.line(0), Token: token(0), Size: sizeOf, ID: 7}
	n.Stored(false)
	g.line(0).returned = 1 << 40
	if g.lane.enterRead(&n.Item, true, true); n.place != chained || d.pass {
		t.Errorf("its place is %d, its device has a pass: %v", n.place, d.pass)
	}
}

// A device that is found while a door is closed waits there like one that has waited on its own account.
func TestListedDeviceIsLate(t *testing.T) {
	g := newRig(Overflow, nil)
	n := g.line(0)
	n.Door.shut(Topic, g.now.Mono)
	g.lane.Enter([]*Read{{From: List, Lines: []*Line{n}, Limit: 2, Devices: [][]byte{token(0)}}}, g.now)
	if d := n.atDoor.first(); d == nil || !d.late {
		t.Errorf("%+v", d)
	}
}

// What stays in the log lets its device go on.
func TestUnmovedDeviceGoesOn(t *testing.T) {
	g := newRig(Overflow, nil)
	d := g.lane.device(g.line(0), token(0))
	d.queued, d.moving = 1, 1
	g.disk.add(&row{id: 1, out: true})
	it := &Item{Line: d.line, Token: d.token.bytes(), Owner: &note{}, ID: 1}
	it.Stored(false)
	if g.lane.unmove(d, it); d.state != loads || d.moving != 0 {
		t.Errorf("it is %d", d.state)
	}
}

// An item of the log that cannot be read does not make its device's queue be read twice.
func TestBrokenInTheLogWhileTheQueueIsRead(t *testing.T) {
	g := newRig(Overflow, nil)
	d := g.lane.device(g.line(0), token(0))
	d.queued = 1
	g.lane.next(d)
	g.disk.add(&row{id: 1, out: true})
	it := &Item{Line: d.line, Token: d.token.bytes(), Owner: &note{}, ID: 1}
	it.Stored(false)
	g.lane.Enter([]*Read{{From: Log, Lines: []*Line{d.line}, Broken: []*Item{it}}}, g.now)
	if g.ended[Unreadable] != 1 || g.lane.loading.len() != 1 {
		t.Errorf("%v, %d queues are to be read", g.ended, g.lane.loading.len())
	}
}
