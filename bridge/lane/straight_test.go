package lane

import (
	"slices"
	"testing"
	"time"
)

// An arrival goes straight on, without the disk, if nothing of its line and its device is only on disk
// or on its way there, all doors are open, and there is room.
func TestGoesStraight(t *testing.T) {
	log := func(g *rig, device int) { // puts one into the log
		m := g.lane.Mode
		g.lane.Mode = Always
		g.arrive(&note{device: device})
		g.disk.put(g.begin(1))
		g.memory = g.room // so that it leaves memory
		g.lane.Commit(1, false, g.now)
		g.lane.Mode, g.memory = m, 0
	}
	for name, c := range map[string]struct {
		before   func(*rig)
		straight bool
	}{
		"nothing else":              {func(*rig) {}, true},
		"another device is out":     {func(g *rig) { g.arrive(&note{device: 2}) }, true},
		"its device is out":         {func(g *rig) { g.arrive(&note{}) }, true},
		"another line's door":       {func(g *rig) { g.line(1).Door.shut(Topic, g.now.Mono) }, true},
		"another line's log":        {func(g *rig) { g.disk.waiting[1] = 1 }, true},
		"with Always":               {func(g *rig) { g.lane.Mode = Always }, false},
		"after Stop":                {func(g *rig) { g.lane.Stop(g.now) }, false},
		"the lane's door is closed": {func(g *rig) { g.lane.Door.shut(Refused, g.now.Mono) }, false},
		"its line's door is closed": {func(g *rig) { g.line(0).Door.shut(Topic, g.now.Mono) }, false},
		"its device waits": {func(g *rig) {
			n := &note{}
			g.arrive(n)
			g.lane.Answered(&n.Item, Throttled, false, g.now)
		}, false},
		"its device has a queue": {func(g *rig) { g.lane.device(g.line(0), token(0)).queued = 1 }, false},
		"its device is moved":    {func(g *rig) { g.lane.device(g.line(0), token(0)).moving = 1 }, false},
		"one before it is put": {func(g *rig) {
			g.lane.Mode = Always
			g.arrive(&note{})
			g.lane.Mode = Overflow
		}, false},
		"the log holds something": {func(g *rig) { log(g, 1) }, false},
		"its log is read": {func(g *rig) {
			log(g, 1)
			g.lane.Plan(g.now)
			g.disk.waiting[0] = 0
		}, false},
		"its log is drawn from": {func(g *rig) {
			g.lane.draws = []draw{{lines: []*Line{g.line(0)}, n: 1}}
			g.lane.Plan(g.now)
		}, false},
		"another line's log is read": {func(g *rig) {
			g.disk.waiting[1] = 1
			g.lane.Plan(g.now)
		}, true},
		"another device's queue is read": {func(g *rig) {
			g.lane.loading.push(g.lane.device(g.line(0), token(2)))
			g.lane.Plan(g.now)
		}, true},
		"queues are listed": {func(g *rig) {
			g.line(0).unlisted = true
			g.lane.Plan(g.now)
		}, true},
		"half of the memory is used":      {func(g *rig) { g.memory = g.room/2 - sizeOf }, true},
		"more than half of it is used":    {func(g *rig) { g.memory = g.room / 2 }, false},
		"its door is closed, with a pass": {func(g *rig) { g.line(0).Door.shut(Topic, 0); g.lane.device(g.line(0), token(0)).pass = true }, false},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(Overflow, nil)
			c.before(g)
			n := &note{seq: 9}
			standing := g.line(0).atDoor.size
			g.arrive(n)
			if want := map[bool]place{true: chained, false: arriving}[c.straight]; n.place != want {
				t.Errorf("its place is %d, and not %d", n.place, want)
			}
			if (n.write != unwritten) == c.straight || g.line(0).atDoor.size != standing {
				t.Errorf("it is to be written: %v; %d stand at the door", n.write != unwritten, g.line(0).atDoor.size)
			}
		})
	}
}

// What a device has in memory is written before what arrives and is written, and only once.
func TestPutAfterWhatIsBeforeIt(t *testing.T) {
	g := newRig(Overflow, nil)
	for seq := range 3 {
		g.arrive(&note{seq: seq})
	}
	g.lane.Mode = Always
	for seq := range 2 {
		g.arrive(&note{seq: 3 + seq})
	}
	var seqs []int
	for _, it := range g.begin(100) {
		seqs = append(seqs, it.Owner.(*note).seq)
	}
	if !slices.Equal(seqs, []int{0, 1, 2, 3, 4}) {
		t.Errorf("they are put in the order %v", seqs)
	}
}

// Keep writes what is with APNs, and what is before it, once.
func TestKeep(t *testing.T) {
	g := newRig(Overflow, nil)
	n := &note{seq: 1}
	g.arrive(&note{})
	g.arrive(n)
	g.lane.Keep(&n.Item, g.now)
	g.lane.Keep(&n.Item, g.now)
	if items := g.begin(100); len(items) != 2 || items[1] != &n.Item || items[1].ToQueue() || !n.Chained() {
		t.Errorf("%v", devicesOf(items))
	} else {
		g.disk.put(items)
		g.lane.Commit(2, false, g.now)
	}
	if g.lane.Keep(&n.Item, g.now); g.lane.Unwritten() != 0 || n.Queued() {
		t.Error("it is put twice")
	}
	for _, n := range g.queue {
		g.lane.Answered(&n.Item, Accepted, true, g.now)
		g.lane.Keep(&n.Item, g.now) // too late: nothing to do
	}
}

// What was read is already on disk: written again before what arrives, it would be there twice.
func TestWhatIsOnDiskIsNotPutAgain(t *testing.T) {
	g := parkedOnDisk(1)
	g.pass(time.Second)
	g.run() // it is asked again
	g.lane.Mode = Always
	g.arrive(&note{seq: 1})
	if items := g.begin(100); len(items) != 1 || items[0].ID != 0 {
		t.Errorf("%d are written", len(items))
	}
}

// Devices with the same hash are each found, whichever of them go.
func TestDevicesWhoseHashesCollide(t *testing.T) {
	g := newRig(Overflow, nil)
	n := g.line(0)
	n.blur = ^uint64(1)
	const many = 40
	known := map[int]*device{}
	for i := range many {
		known[i] = g.lane.device(n, token(i))
	}
	for i := range many {
		gone := (i * 7) % many
		g.lane.drop(known[gone])
		delete(known, gone)
		if n.Knows(token(gone)) {
			t.Fatalf("%d is found", gone)
		}
		for k, d := range known {
			if x, hash := n.find(token(k)); x != d || hash != d.hash {
				t.Fatalf("%d is not found behind %d", k, gone)
			}
		}
	}
	if len(n.devices) > 0 {
		t.Errorf("%d are left", len(n.devices))
	}
}

// The scenario of many that wait, with hashes of two values.
func TestCaseManyWaitAndCollide(t *testing.T) {
	g := newRig(Overflow, refuses(50, Throttled))
	g.line(0).blur = ^uint64(1)
	for i := range 300 {
		g.arrive(&note{device: i % 100, seq: i / 100})
	}
	within(t, "the others", g.until(10*time.Minute, func() bool { return g.accepted == 150 }), 5*time.Second)
	g.apns = refuses(0, Accepted)
	within(t, "all", g.until(10*time.Minute, func() bool { return g.accepted == 300 }), 3*time.Minute)
	if len(g.line(0).devices) > 0 {
		t.Errorf("%d devices are left", len(g.line(0).devices))
	}
}

// When an app is taken out, nothing is sent and everything is on disk; when it is back, all goes.
func TestCaseTakenOutAndBack(t *testing.T) {
	for name, c := range map[string]Class{"while all is well": Accepted, "while APNs is down": Failed,
		"while it throttles": Throttled} {
		t.Run(name, func(t *testing.T) {
			inEachMode(t, false, func(t *testing.T, m Mode) {
				g := newRig(m, func(*note) Class { return c })
				g.streams = 10
				for i := range 300 {
					g.arrive(&note{topic: i % 2, device: i % 60, seq: i / 60})
				}
				g.step()
				g.step()
				g.lane.Stop(g.now)
				for i := range 20 {
					g.arrive(&note{device: i * 2 % 60, seq: 10})
				}
				within(t, "all is on disk", g.until(time.Minute, func() bool { return g.memory == 0 && g.inMemory() == 0 }), 4*tick)
				asked := g.asked()
				g.wait(time.Minute)
				if g.asked() != asked || g.lane.ahead != 0 || !g.lane.Troubled() {
					t.Errorf("%d asked about after Stop", g.asked()-asked)
				}
				g.apns = refuses(0, Accepted)
				g.lane.Start(g.now)
				within(t, "all", g.until(10*time.Minute, func() bool { return g.accepted == 320 }), 2*time.Minute)
			})
		})
	}
}

// When the process is about to end, nothing more is read from disk, and nothing waits for it.
func TestQuiesce(t *testing.T) {
	down := true
	g := newRig(Overflow, func(*note) Class {
		if down {
			return NoConnection
		}
		return Accepted
	})
	for i := range 100 {
		g.arrive(&note{device: i})
	}
	g.wait(10 * time.Second)
	down = false
	g.lane.Quiesce(g.now)
	if g.wait(time.Minute); g.accepted > 1 || g.lane.mayRead() || g.line(0).disk.Waiting() < 90 {
		t.Errorf("%d accepted, %d wait in the log", g.accepted, g.line(0).disk.Waiting())
	}
}

// While the disk is full, it is read to the last moment: what is in memory only has no other way
// out than to APNs, and stands behind what is on disk.
func TestQuiesceWhileTheDiskIsFull(t *testing.T) {
	for name, c := range map[string]struct {
		apns    Class
		devices int
	}{
		"in the log": {NoConnection, 100},
		"in queues":  {Throttled, 10},
	} {
		t.Run(name, func(t *testing.T) {
			inEachMode(t, false, func(t *testing.T, mode Mode) {
				g := newRig(mode, func(*note) Class { return c.apns })
				g.disk.room = 10
				arrive := func(from, until int) {
					for i := from; i < until; i++ {
						g.arrive(&note{device: i % c.devices, seq: i / c.devices})
					}
					g.wait(2 * time.Second)
				}
				arrive(0, 10)
				arrive(10, 100)
				if g.lane.unstored != 90 || !g.lane.Stuck() {
					t.Fatalf("%d are in memory only", g.lane.unstored)
				}
				g.apns = func(*note) Class { return Accepted }
				g.lane.Quiesce(g.now)
				took := g.until(time.Hour, func() bool { return g.lane.unstored == 0 })
				within(t, "all is on disk or delivered", took, 5*time.Minute)
				if g.accepted+len(g.disk.rows) != 100 || !g.lane.keepsQuiet() {
					t.Errorf("%d accepted, %d on disk, and more is read: %v", g.accepted, len(g.disk.rows), !g.lane.keepsQuiet())
				}
				g.lane.retry = g.now.Mono + time.Second
				g.lane.puts.push(put{it: &Item{ID: 1}})
				if !g.lane.keepsQuiet() {
					t.Error("more is read after a write that has failed, though all is on disk")
				}
			})
		})
	}
}

// With Always nothing goes before it is on disk: from one that is broken nothing is read for the
// sake of what cannot be written there.
func TestQuiesceWithABrokenDisk(t *testing.T) {
	class := NoConnection
	g := newRig(Always, func(*note) Class { return class })
	for i := range 20 {
		g.disk.broken = i >= 10
		g.arrive(&note{device: i})
		g.wait(time.Second)
	}
	if g.lane.unstored != 10 || !g.lane.Stuck() {
		t.Fatalf("%d are in memory only", g.lane.unstored)
	}
	class = Accepted
	g.lane.Quiesce(g.now)
	if g.wait(10 * time.Minute); g.accepted > 1 || g.lane.mayRead() {
		t.Errorf("%d accepted, more is read: %v", g.accepted, g.lane.mayRead())
	}
}

// A line with nothing in it goes; one with something, or something to remember, stays.
func TestLineIsSpent(t *testing.T) {
	g := newRig(Overflow, nil)
	n := g.line(0)
	if g.run(); !n.Spent() || n.Disk() == nil || len(g.lane.Lines()) != topics {
		t.Fatal("a line in which nothing was is not spent")
	}
	if n.Door.shut(Unreachable, 0); !n.Spent() {
		t.Error("behind 5xx it is not")
	}
	n.Door.open(0)
	for name, fill := range map[string]func(){
		"a device": func() { g.lane.device(n, token(1)) },
		"a door":   func() { n.Door.shut(Topic, 0) },
		"a queue":  func() { n.unlisted = true },
		"a log":    func() { g.disk.waiting[0] = 1 },
	} {
		if fill(); n.Spent() {
			t.Errorf("with %s it is", name)
		}
		clear(n.devices)
		n.Door.open(0)
		n.unlisted, g.disk.waiting[0] = false, 0
	}
	if g.lane.RemoveLine(n); g.lane.Line("0") != nil || g.lane.Line("1") == nil || len(g.lane.Lines()) != 1 {
		t.Error("the wrong one is gone")
	}
}

// Flags come back from disk as they went there.
func TestFlagsOf(t *testing.T) {
	for _, f := range []Flags{{}, {1, 2, 3, 4, 5, true, false, true}, {255, 255, 255, 255, 255, false, true, false}} {
		if got := FlagsOf(f.Bytes()); got != f {
			t.Errorf("%+v", got)
		}
	}
}
