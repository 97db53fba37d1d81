package gateway

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkGrant is what one handshake costs in the queue, from its asking to its end, where others of so many
// sources wait for their turns.
func BenchmarkGrant(b *testing.B) {
	for _, crowd := range []struct{ sources, each int }{{10_000, 1}, {1_000, 10}, {20, 100}, {1, 1_000}} {
		b.Run(fmt.Sprintf("%dx%d", crowd.sources, crowd.each), func(b *testing.B) {
			q := newHandshakeQueue(Limits{}.withDefaults())
			now := time.Unix(0, 0)
			var running []*turn
			asked := uint64(0)
			ask := func(from source) {
				asked++
				t := &turn{from: from, whole: true, looks: looks{1, asked}, owes: func() bool { return false }, drop: func() {}}
				t.begin = func() { running = append(running, t) }
				q.ask(t)
				q.grant(now)
			}
			for n := range crowd.sources * crowd.each {
				ask(sourceNumber(n % crowd.sources))
			}
			for b.Loop() {
				t := running[0]
				running = running[1:]
				q.leave(t)
				q.grant(now)
				ask(t.from)
			}
		})
	}
}
