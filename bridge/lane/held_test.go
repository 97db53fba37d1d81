package lane

import (
	"fmt"
	"testing"
	"time"
)

// After a restart, devices with queues stand at the doors of topics on hold, as many as there
// are entries for, or more. Those of another topic are found, and go.
func TestQueuesAreFoundBesideTopicsOnHold(t *testing.T) {
	for _, c := range []struct{ entries, topics, each int }{
		{10, 1, 600}, {1000, 1, 600}, {1000, 20, 100}, {20_000, 30, 600},
	} {
		t.Run(fmt.Sprintf("%d entries, %d topics of %d devices", c.entries, c.topics, c.each), func(t *testing.T) {
			t.Parallel()
			inEachMode(t, false, func(t *testing.T, m Mode) {
				g := newRig(m, func(n *note) Class {
					if n.topic > 0 {
						return TopicRefused
					}
					return Accepted
				})
				const good = 2 * listed
				for topic := range c.topics + 1 {
					many := c.each
					if topic == 0 {
						many = good
					}
					for i := range many {
						g.disk.last++
						g.disk.add(&row{id: g.disk.last, topic: topic, device: 10_000*topic + i, size: sizeOf, queued: true,
							flags: Flags{Attempts: 1, Throttled: 1}})
					}
				}
				g.start(m, 100*sizeOf, c.entries)
				for topic := range c.topics + 1 {
					g.line(topic)
				}
				g.lane.Start(g.now)
				within(t, "the other topic", g.until(10*time.Minute, func() bool { return g.accepted == good }), time.Minute)
			})
		})
	}
}

// A device that waits on its own account keeps its entry, however many stand at doors: without it,
// it would be found and asked about again at once.
func TestThoseAtDoorsTakeNoEntries(t *testing.T) {
	g := newRig(Overflow, nil)
	g.lane.Entries = 10
	g.lane.sleep(1000)
	n := g.parked(0)
	if d := g.entry(n); d.state != waits || g.line(0).unlisted {
		t.Errorf("its device is in state %d, unlisted %v", d.state, g.line(0).unlisted)
	}
}

// More devices than there are entries for wait long, and that of another device was evicted: it
// is found on disk again in time. Those that have to wait are not asked about all the time.
func TestFoundBesideACrowd(t *testing.T) {
	inEachMode(t, false, func(t *testing.T, m Mode) {
		asked := 0
		g := newRig(m, func(n *note) Class {
			if n.device > 0 {
				return Strange
			}
			if asked++; asked == 1 {
				return Throttled
			}
			return Accepted
		})
		g.lane.Entries = 2
		for _, i := range []int{1, 2, 0, 3, 4, 5} { // neither dozing nor one of the last: evicted
			g.arrive(&note{device: i})
		}
		within(t, "accepted", g.until(5*time.Minute, func() bool { return g.accepted == 1 }), walkPause+5*time.Second)
		before := len(g.order)
		g.wait(10 * walkPause)
		if k := len(g.order) - before; k > 60 {
			t.Errorf("APNs was asked %d times in %v", k, 10*walkPause)
		}
	})
}
