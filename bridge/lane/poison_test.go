package lane

import (
	"slices"
	"testing"
	"time"
)

// C7: six notifications always get 5xx, and a good one comes each second: it is not late.
func TestCasePoison(t *testing.T) {
	inEachMode(t, true, func(t *testing.T, m Mode) {
		g := newRig(m, refuses(6, Failed))
		for i := range 6 {
			g.arrive(&note{device: i})
		}
		worst := time.Duration(0)
		for i := range 300 {
			at, k := g.now.Mono, key{100 + i, 0}
			g.arrive(&note{device: k.device})
			for g.now.Mono < at+time.Second {
				g.step()
			}
			g.until(5*time.Minute, func() bool { return g.at[k] > 0 })
			worst = max(worst, g.at[k]-at)
		}
		within(t, "the latest", worst, time.Second+2*tick)
	})
}

// The same, but the good one comes when the six have waited for ten minutes.
func TestCasePoisonOfAQuietApp(t *testing.T) {
	inEachMode(t, true, func(t *testing.T, m Mode) {
		g := newRig(m, refuses(6, Failed))
		for i := range 6 {
			g.arrive(&note{device: i})
		}
		g.wait(10 * time.Minute)
		g.arrive(&note{device: 100})
		within(t, "the good one", g.until(10*time.Minute, func() bool { return g.accepted > 0 }), 3*time.Second)
	})
}

// After an outage every third, fifth or twentieth of those that wait always gets 5xx. A probe may
// hit one of these; the next then goes two minutes later.
func TestCaseRecoveryAmongPoison(t *testing.T) {
	t.Parallel()
	for name, nth := range map[string]int{"third": 3, "fifth": 5, "twentieth": 20} {
		t.Run(name, func(t *testing.T) {
			inEachMode(t, true, func(t *testing.T, m Mode) {
				var took []time.Duration
				for seed := range uint64(11) {
					down := true
					g := newSeededRig(seed, m, func(n *note) Class {
						if down || n.device%nth == 0 {
							return Failed
						}
						return Accepted
					})
					g.room, g.lane.Ahead = 2000*sizeOf, 200*sizeOf
					for i := range 1500 {
						g.arrive(&note{device: i})
					}
					g.wait(time.Minute)
					down = false
					took = append(took, g.until(time.Hour, func() bool { return g.accepted == 1500-1500/nth }))
				}
				slices.Sort(took)
				within(t, "mostly, all good ones", took[len(took)/2], 3*time.Minute)
				within(t, "always, all good ones", took[len(took)-1], 10*time.Minute)
			})
		})
	}
}

// Twelve that always get 5xx came first in the list when the credential was refused. When it is
// taken again they keep coming back to the door; the log goes nevertheless.
func TestCaseCredentialAmongPoison(t *testing.T) {
	for name, c := range map[string]Class{"credential refused": CredentialRefused, "5xx": Failed} {
		t.Run(name, func(t *testing.T) {
			inEachMode(t, true, func(t *testing.T, m Mode) {
				down := true
				g := newRig(m, func(n *note) Class {
					switch {
					case down:
						return c
					case n.device < 12:
						return Failed
					}
					return Accepted
				})
				for i := range 13 {
					g.arrive(&note{device: i})
				}
				g.wait(3 * time.Second)
				for i := range 1000 {
					g.arrive(&note{device: 100 + i})
				}
				g.wait(10 * time.Minute)
				down = false
				within(t, "all good ones", g.until(time.Hour, func() bool { return g.accepted == 1001 }), 4*time.Minute)
			})
		})
	}
}

// Fifty that always get 5xx come in one clump among good ones, and a thousand more good
// ones behind them: none of these waits for the clump.
func TestCaseClumpOfPoison(t *testing.T) {
	inEachMode(t, true, func(t *testing.T, m Mode) {
		g := newRig(m, func(n *note) Class {
			if n.device >= 1000 && n.device < 1050 {
				return Failed
			}
			return Accepted
		})
		g.room, g.lane.Ahead = 2000*sizeOf, 200*sizeOf
		for i := range 20 {
			g.arrive(&note{device: i})
		}
		g.wait(500 * time.Millisecond)
		for i := range 50 {
			g.arrive(&note{device: 1000 + i})
		}
		for i := range 900 {
			if g.arrive(&note{device: 50 + i}); i%9 == 0 {
				g.wait(50 * time.Millisecond)
			}
		}
		within(t, "the good ones", g.until(time.Minute, func() bool { return g.accepted == 920 }), 500*time.Millisecond)
	})
}

// Hundreds that always get 5xx come at once, and good ones behind them in a steady
// stream: they close the door, and the good ones go nevertheless.
func TestCaseManyPoisoned(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		many, streams int
		bound         time.Duration
	}{
		"a hundred":     {100, 1000, 3 * time.Second},
		"five hundred":  {500, 1000, 3 * time.Second},
		"two thousand":  {2000, 2000, 3 * time.Second},
		"few streams":   {100, 50, 3 * time.Second}, // most are not asked about before the door closes
		"more, and few": {500, 50, 30 * time.Second},
		"half of all":   {2000, 50, 30 * time.Second},
		"two thirds":    {4000, 50, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			inEachMode(t, true, func(t *testing.T, m Mode) {
				g := newRig(m, refuses(c.many, Failed))
				g.room, g.lane.Ahead, g.streams = 5000*sizeOf, 1000*sizeOf, c.streams
				for i := range c.many {
					g.arrive(&note{device: i})
				}
				latest, at := time.Duration(0), make(map[key]time.Duration)
				for i := range 2000 {
					k := key{c.many + i, 0}
					at[k] = g.now.Mono
					if g.arrive(&note{device: k.device}); i%20 == 0 {
						g.step()
					}
				}
				g.until(10*time.Minute, func() bool { return g.accepted == 2000 })
				for k, since := range at {
					if g.at[k] == 0 {
						t.Fatalf("%v has not gone", k)
					}
					latest = max(latest, g.at[k]-since)
				}
				within(t, "the latest", latest, c.bound)
			})
		})
	}
}
