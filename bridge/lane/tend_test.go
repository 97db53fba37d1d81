package lane

import (
	"testing"
	"time"
)

// waiter is a device that APNs has throttled for two minutes. Its item expires in that many seconds; 0: never.
func (g *rig) waiter(device int, expires int64) *device {
	n := &note{device: device}
	if expires != 0 {
		n.Expires = g.now.Wall + expires
	}
	g.arrive(n)
	n.Flags.Throttled = uint8(len(throttled) - 1)
	g.lane.Answered(&n.Item, Throttled, true, g.now)
	return g.entry(n)
}

// entry is that of the device of n.
func (g *rig) entry(n *note) *device {
	d, _ := n.Line.find(n.Token)
	return d
}

// What expires while its device is asleep ends then, and wakes no other.
func TestSweep(t *testing.T) {
	g := newRig(Off, nil)
	never, soon, later := g.waiter(1, 0), g.waiter(2, 10), g.waiter(3, 11)
	g.pass(9 * time.Second)
	if g.lane.Tend(g.now); g.ended[Expired] != 0 || soon.state != waits {
		t.Errorf("%d have expired before their time", g.ended[Expired])
	}
	g.pass(time.Second)
	if g.lane.Tend(g.now); g.ended[Expired] != 1 || g.line(0).Knows(token(2)) {
		t.Errorf("%d have expired, and one was to", g.ended[Expired])
	}
	if never.state != waits || later.state != waits || g.lane.expires != later.first.Expires {
		t.Errorf("the others are in the states %d and %d, and the next expires at %d",
			never.state, later.state, g.lane.expires)
	}
}

// Memory counts as full from when it first was until it has not been for a while.
func TestFullSince(t *testing.T) {
	g := newRig(Off, nil)
	g.waiter(1, 0)
	g.arrive(&note{device: 1, seq: 1})
	g.memory = g.room
	g.lane.Tend(g.now)
	since := g.lane.fullSince
	if since != g.now.Mono {
		t.Fatalf("it is full since %v, and not since %v", since, g.now.Mono)
	}
	g.memory = 0
	g.pass(fullFor - 1)
	if g.lane.Tend(g.now); g.lane.fullSince != since {
		t.Error("it is not full after a moment with room")
	}
	g.pass(1)
	if g.lane.Tend(g.now); g.lane.fullSince != 0 {
		t.Errorf("it is full since %v, though it has had room for a while", g.lane.fullSince)
	}
}

// While answers are lost, items that were left without one go one at a time, the first at once.
func TestRepeatedOneAtATime(t *testing.T) {
	g := newRig(Off, nil)
	g.lane.Door.cut, g.lane.Door.Since = true, g.now.Mono
	var all [2]*note
	for i := range all {
		all[i] = &note{device: i}
		all[i].Flags.Repeated = true
		g.arrive(all[i])
	}
	if first, second := g.entry(all[0]), g.entry(all[1]); first.state != out || second.state != waits {
		t.Fatalf("the first is in state %d, the second in %d", first.state, second.state)
	}
	g.lane.Door.Since = g.now.Mono + time.Hour // it stays as shaky
	g.pass(time.Hour)
	if g.lane.Tend(g.now); g.entry(all[1]).state != waits {
		t.Error("the second goes beside the first")
	}
	g.lane.Answered(&all[0].Item, Accepted, true, g.now)
	g.pass(time.Hour)
	if g.lane.Tend(g.now); g.entry(all[1]).state != out {
		t.Error("the second does not go behind the first")
	}
}

// A queue is read again if the lane was stopped and started during the read, which gave nothing.
func TestReadAgainAfterAStart(t *testing.T) {
	g := parkedOnDisk(1)
	g.pass(time.Second)
	g.lane.Tend(g.now)
	reads, _ := g.lane.Plan(g.now)
	if len(reads) != 1 || reads[0].From != Queue {
		t.Fatalf("%d things are read", len(reads))
	}
	g.lane.Stop(g.now)
	g.lane.Start(g.now)
	g.lane.Enter(reads, g.now)
	if g.lane.loading.len() != 1 {
		t.Errorf("%d are to be read, and not the one", g.lane.loading.len())
	}
}

// What others have put on disk is looked for, where there is one.
func TestFound(t *testing.T) {
	inEachMode(t, true, func(t *testing.T, m Mode) {
		g := newRig(m, nil)
		if g.settle(); g.line(0).unlisted {
			t.Fatal("queues are still looked for")
		}
		g.lane.Found()
		if got := g.line(0).unlisted; got != (m != Off) || g.lane.Rests(g.now) != 0 {
			t.Errorf("queues are looked for: %t", got)
		}
	})
}
