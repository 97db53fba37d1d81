package lane

import (
	"testing"
	"time"
)

// With Always, a full disk and a crash leave the beginning of what has arrived, whatever can
// still be moved: what comes behind a device that waits goes to the log like everything else.
func TestAlwaysKeepsABeginning(t *testing.T) {
	for seed := range uint64(50) {
		g := newSeededRig(seed, Always, func(n *note) Class {
			if n.device < 3 {
				return Throttled
			}
			return Failed
		})
		g.room = 1000 * sizeOf
		for i := range 20 {
			g.arrive(&note{device: i})
		}
		g.wait(3 * time.Second)
		var order []*note
		for range 40 {
			n := &note{device: g.disk.rnd.IntN(20), seq: 1 + len(order)}
			order = append(order, n)
			g.arrive(n)
		}
		items := g.begin(100)
		kept := 0
		for kept < len(items) && items[kept].ToQueue() == items[0].ToQueue() { // the first of two Puts
			kept++
		}
		kept = g.disk.rnd.IntN(kept + 1)
		g.disk.put(items[:kept])
		for i, n := range order {
			if i > 0 && n.ID != 0 && order[i-1].ID == 0 {
				t.Fatalf("seed %d: number %d is on disk, and number %d is not", seed, i, i-1)
			}
		}
	}
}
