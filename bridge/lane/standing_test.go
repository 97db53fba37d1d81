package lane

import (
	"fmt"
	"testing"
	"time"
)

// Most of those that always get 5xx are in the log when the door closes, and were never asked
// about. A good one comes each second: it is soon drawn from among them, and none is late.
func TestCasePoisonInTheLog(t *testing.T) {
	for _, many := range []int{6, 20, 50, 85} {
		t.Run(fmt.Sprint(many), func(t *testing.T) {
			inEachMode(t, true, func(t *testing.T, m Mode) {
				for seed := range uint64(10) {
					g := newSeededRig(seed, m, refuses(many, Failed))
					g.room, g.lane.Ahead, g.streams = 2000*sizeOf, 200*sizeOf, 3
					for i := range many {
						g.arrive(&note{device: i})
					}
					g.wait(time.Second)
					worst := time.Duration(0)
					for i := range 60 {
						k := key{100 + i, 0}
						g.arrive(&note{device: k.device})
						g.wait(time.Second)
						if i > 20 { // until then it is learned whose fault it is
							worst = max(worst, g.until(time.Hour, func() bool { return g.at[k] > 0 }))
						}
					}
					first := g.until(time.Hour, func() bool { return g.accepted == 60 })
					if worst > 4*time.Second || first > time.Second {
						t.Errorf("seed %d: late by %v at the worst, and the first by another %v", seed, worst, first)
					}
				}
			})
		})
	}
}

// After answers were lost, items that were left without one go one at a time until the door has
// been open for a while: the second time they are given up.
func TestOneRepeatAtATime(t *testing.T) {
	inEachMode(t, true, func(t *testing.T, m Mode) {
		lost := false
		g := newRig(m, func(*note) Class {
			if lost {
				return NoAnswer
			}
			return Accepted
		})
		g.room, g.lane.Ahead = 5000*sizeOf, 1000*sizeOf
		most, repeats := 0, 0
		for i := range 200 {
			for k := range 20 {
				g.arrive(&note{device: 20*i + k})
			}
			g.wait(tick)
			lost = i == 40
			k := 0
			for _, n := range g.flight {
				if n.Flags.Repeated {
					k++
				}
			}
			if repeats += k; g.lane.Door.Reason != Open || g.now.Mono-g.lane.Door.Since < settled {
				most = max(most, k)
			}
		}
		g.until(time.Minute, func() bool { return g.accepted == 4000 })
		if most > 1 || repeats < 5 || g.accepted != 4000 {
			t.Errorf("%d at a time, %d seen, %d accepted", most, repeats, g.accepted)
		}
	})
}

// The first answer that a fresh app gets is a 403 for one device alone. The others do not wait for as
// long as when only the operator can help.
func TestCaseFirstIsRefused(t *testing.T) {
	inEachMode(t, true, func(t *testing.T, m Mode) {
		g := newRig(m, refuses(1, CredentialRefused))
		g.arrive(&note{device: 0})
		g.wait(3 * tick)
		for i := range 50 {
			g.arrive(&note{device: 100 + i})
		}
		within(t, "the others", g.until(time.Minute, func() bool { return g.accepted == 50 }), 3*time.Second)
	})
}
