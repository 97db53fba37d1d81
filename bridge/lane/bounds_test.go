package lane

import (
	"slices"
	"testing"
	"time"
)

// 100,000 devices are throttled, with a thousand entries for them, and others go. Devices whose
// entry was given up are found again by a List.
func TestCaseMoreDevicesThanEntries(t *testing.T) {
	t.Parallel()
	const many, entries = 100_000, 1000
	var g *rig
	g = newRig(Overflow, func(n *note) Class {
		if n.device < many && g.now.Mono < 20*time.Second {
			return Throttled
		}
		return Accepted
	})
	g.lane.Entries, g.lane.Ahead, g.room = entries, 1000*sizeOf, 1000*sizeOf
	for i := range many {
		g.arrive(&note{device: i})
	}
	g.until(15*time.Second, func() bool { return len(g.held) == 0 })
	for i := range 100 {
		g.arrive(&note{device: many + i})
	}
	last := key{many + 99, 0}
	within(t, "the fresh", g.until(time.Minute, func() bool { return g.at[last] > 0 }), 15*time.Second)
	if g.now.Mono > 20*time.Second {
		t.Error("the others are not throttled any more")
	}
	within(t, "all", g.until(time.Hour, func() bool { return g.accepted == many+100 }), 10*time.Minute)
	if g.entries > entries+2*1000+listed { // and of what is in memory
		t.Errorf("%d entries", g.entries)
	}
	if g.givenUp > 0 || len(g.disk.rows) > 0 || g.line(0).unlisted {
		t.Errorf("%d given up, %d on disk", g.givenUp, len(g.disk.rows))
	}
}

// Entries are given up only if the lane has more than its own, and all lanes more than allowed.
func TestEntriesOfOwnAndOfAll(t *testing.T) {
	for name, c := range map[string]struct {
		own, limit int
		gone       bool
	}{
		"neither": {10, 10, false},
		"own":     {5, 10, false},
		"all":     {10, 5, false},
		"both":    {5, 5, true},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(Overflow, func(*note) Class { return Throttled })
			g.lane.Entries, g.lane.Asleep.Limit = c.own, int64(c.limit)
			for i := range 8 {
				g.arrive(&note{device: i})
			}
			g.wait(400 * time.Millisecond)
			if gone := len(g.line(0).devices) < 8; gone != c.gone || gone != g.line(0).unlisted {
				t.Errorf("%d entries, unlisted %v", len(g.line(0).devices), g.line(0).unlisted)
			}
		})
	}
}

// A device keeps its entry as long as something of it is not in its queue, or about to be read.
func TestEvictedOnlyIfAllIsInItsQueue(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*device)
		gone   bool
	}{
		"asleep":       {func(*device) {}, true},
		"one arrives":  {func(d *device) { d.arriving++ }, false},
		"one is moved": {func(d *device) { d.moving++ }, false},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(Overflow, func(*note) Class { return Throttled })
			g.lane.Entries = 0
			n := &note{}
			g.arrive(n)
			g.queue = nil
			d, _ := g.line(0).find(n.Token)
			g.lane.Answered(&n.Item, Throttled, false, g.now)
			items := g.lane.Begin(1, 1, g.now)
			g.disk.put(items)
			c.change(d)
			g.lane.Commit(1, false, g.now)
			if x, _ := g.line(0).find(n.Token); (x == nil) != c.gone {
				t.Errorf("the entry is gone: %v", x == nil)
			}
		})
	}
}

// Without a disk, one device that waits, with what stands behind it, must not take all memory: the
// oldest behind it are given up, but only once memory is full.
func TestCaseCrowded(t *testing.T) {
	g := newRig(Off, refuses(1, Strange))
	g.arrive(&note{seq: 0})
	g.wait(time.Second)
	for i := range 500 {
		g.arrive(&note{seq: 1 + i})
	}
	within(t, "all have come", g.until(time.Minute, func() bool { return len(g.held) == 0 }), fullFor+3*time.Second)
	for i := range 50 {
		g.arrive(&note{device: 1 + i})
	}
	within(t, "others", g.until(time.Minute, func() bool { return g.accepted == 50 }), time.Second)
	if g.ended[Crowded] < 300 || g.at[key{0, 0}] != 0 || g.at[key{0, 500}] != 0 {
		t.Errorf("%d given up, the first after %v, the last after %v",
			g.ended[Crowded], g.at[key{0, 0}], g.at[key{0, 500}])
	}
	left := 501 - g.ended[Crowded]
	g.apns = refuses(0, Accepted)
	g.until(time.Hour, func() bool { return g.accepted == 50+left })
	got := g.order[len(g.order)-left+1:]
	if g.accepted != 50+left || !slices.IsSortedFunc(got, func(a, b key) int { return a.seq - b.seq }) {
		t.Errorf("%d accepted, in the order %v", g.accepted, got)
	}
	if g.released < 1 {
		t.Error("what waits for nobody knows how long is not released")
	}
}

// A device that begins to wait when memory is already full gives way too: nothing else wakes the lane.
func TestCaseCrowdedByWhatIsThere(t *testing.T) {
	g := newRig(Off, refuses(1, Strange))
	for i := range 300 {
		g.arrive(&note{seq: i})
	}
	within(t, "all have come", g.until(time.Minute, func() bool { return len(g.held) == 0 }), fullFor+time.Second)
}

// After an outage every device waits on its own account, memory is full, and the machine may be
// slow: what will be asked about soon is not given up, however long that takes.
func TestCaseNotCrowdedBehindAnOutage(t *testing.T) {
	g := newRig(Off, refuses(5, Strange))
	for i := range 500 {
		g.arrive(&note{device: i % 5, seq: i / 5})
	}
	g.wait(time.Second)
	for _, d := range g.lane.waiting {
		d.due = g.lane.now.Mono + fullFor - 1
	}
	g.lane.fullSince = g.lane.now.Mono - fullFor
	g.lane.giveWay()
	if len(g.ended) > 0 {
		t.Errorf("%v given up of what is asked again soon", g.ended)
	}
	for _, d := range g.lane.waiting {
		d.due = g.lane.now.Mono + fullFor
	}
	if g.lane.giveWay(); len(g.lane.waiting) == 0 || g.ended[Crowded] == 0 || g.lane.Sink.Full() {
		t.Errorf("memory is full of what waits for long: %v given up", g.ended)
	}
}

// At a closed door nothing is given up: all wait there for one reason.
func TestCaseNotCrowdedAtADoor(t *testing.T) {
	g := newRig(Off, func(*note) Class { return NoConnection })
	for i := range 500 {
		g.arrive(&note{device: i % 5, seq: i / 5})
	}
	if g.wait(time.Minute); len(g.ended) > 0 || len(g.held) != 300 || g.released < 200 {
		t.Errorf("%v given up, %d held, %d released", g.ended, len(g.held), g.released)
	}
}

// Without a disk the bridge answers for what waits for an unknown time: on its own account, or until
// APNs can be reached. Other doors wait for the operator: their verdicts may still come.
func TestReleasedIfItMayTakeLong(t *testing.T) {
	for name, c := range map[string]struct {
		mode  Mode
		close func(*rig)
		want  int
	}{
		"APNs is unreachable":     {Off, func(g *rig) { g.lane.Door.shut(Unreachable, g.now.Mono) }, 3},
		"the credential is wrong": {Off, func(g *rig) { g.lane.Door.shut(Refused, g.now.Mono) }, 0},
		"the topic is wrong":      {Off, func(g *rig) { g.line(0).Door.shut(Topic, g.now.Mono) }, 0},
		"it waits for itself":     {Off, nil, 3},
		"with a disk":             {Overflow, func(g *rig) { g.lane.Door.shut(Unreachable, g.now.Mono) }, 0},
		"for itself, with a disk": {Overflow, nil, 0},
		"for itself, with Always": {Always, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(Overflow, nil)
			n := &note{}
			g.arrive(n)
			g.arrive(&note{seq: 1})
			g.lane.Mode = c.mode
			if c.close == nil {
				g.lane.Answered(&n.Item, Throttled, false, g.now)
			} else {
				c.close(g)
				g.lane.Admit(&n.Item, g.now)
			}
			if g.arrive(&note{seq: 2}); g.released != c.want {
				t.Errorf("%d are released", g.released)
			}
		})
	}
}

// What comes for a device of which nothing waits is released once, as it falls asleep: when it
// has come, its device may be gone already, and another lane's.
func TestReleasedOnce(t *testing.T) {
	g := newRig(Off, nil)
	g.lane.Door.shut(Unreachable, g.now.Mono)
	if g.arrive(&note{}); g.released != 1 {
		t.Errorf("it is released %d times", g.released)
	}
	expired := &note{device: 1}
	expired.Expires = g.now.Wall
	if g.arrive(expired); g.released != 1 || g.ended[Expired] != 1 {
		t.Errorf("one that has expired is released, or is not: %d; ended %v", g.released, g.ended)
	}
}

// At a closed door some keep their entries, so that there are probes.
func TestEvictedAtADoor(t *testing.T) {
	g := newRig(Overflow, func(*note) Class { return NoConnection })
	g.lane.Entries = 0
	for i := range 200 {
		g.arrive(&note{device: i})
		g.now.Mono++
	}
	for g.memory > 0 {
		for _, n := range g.queue {
			n.Flags.Attempts++ // so that they go to their queues
		}
		g.step()
	}
	if k := g.line(0).atDoor.size; k != atATime {
		t.Errorf("%d stand at the door", k)
	}
}

// The disk is full of what stands behind one device and, in the log, before others. It is moved,
// although nothing new can be written, and the others go.
func TestCaseFullDisk(t *testing.T) {
	g := newRig(Always, refuses(1, Throttled))
	g.disk.room, g.lane.Ahead = 300, 20*sizeOf
	for i := range 250 {
		g.arrive(&note{seq: i})
	}
	for i := range 50 {
		g.arrive(&note{device: 1 + i})
	}
	for i := range 100 {
		g.arrive(&note{seq: 250 + i})
	}
	for i := range 50 {
		g.arrive(&note{device: 100 + i})
	}
	within(t, "the others", g.until(time.Minute, func() bool { return g.accepted >= 50 }), 20*time.Second)
	if g.disk.moves < 200 {
		t.Errorf("%d moved", g.disk.moves)
	}
}
