package lane

import "testing"

// At a door with credit for one, what a waiting device has at the head of the log is moved in few
// reads, and nothing goes that may not go yet.
func TestStrideOverTheLog(t *testing.T) {
	g := newRig(Overflow, nil)
	g.parked(0)
	g.lane.Door.shut(Unreachable, g.now.Mono)
	for i := range 1000 {
		g.disk.last++
		g.disk.add(&row{id: g.disk.last, seq: i + 1, size: sizeOf})
	}
	for device := range 20 {
		g.disk.last++
		g.disk.add(&row{id: g.disk.last, device: device + 1, size: sizeOf})
	}
	g.lane.Door.credit, g.lane.Door.dry, g.queue = 1, true, nil
	rounds := 0
	for ; len(g.queue) == 0; rounds++ {
		if rounds > 100 {
			t.Fatalf("none has gone after %d rounds, %d are in the log", rounds, g.disk.waiting[0])
		}
		g.run()
	}
	for range 10 {
		g.run()
	}
	if len(g.queue) != 1 || g.queue[0].device != 1 || g.lane.Door.credit != 0 || g.disk.waiting[0] != 19 {
		t.Errorf("%d have gone, first of device %d; credit %d, %d are in the log",
			len(g.queue), g.queue[0].device, g.lane.Door.credit, g.disk.waiting[0])
	}
}
