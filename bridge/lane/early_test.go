package lane

import (
	"testing"
	"time"
)

// However often a gateway is restarted, or its operator asks for a try: what APNs does not take for
// one device is tried for as long as otherwise, and given up in the end.
func TestAskedEarlyDoesNotCount(t *testing.T) {
	for name, c := range map[string]Class{"429": Throttled, "a word that is not known": Strange} {
		for how, early := range map[string]func(g *rig, m Mode){
			"restart": func(g *rig, m Mode) { g.start(m, 100*sizeOf, 20_000) },
			"try":     func(g *rig, _ Mode) { g.lane.Try(g.now) },
			"out and in": func(g *rig, _ Mode) {
				g.lane.Stop(g.now)
				g.wait(time.Second)
				g.lane.Start(g.now)
			},
		} {
			t.Run(name+" "+how, func(t *testing.T) {
				inEachMode(t, how == "try", func(t *testing.T, m Mode) {
					well := false
					g := newRig(m, func(n *note) Class {
						if !well || n.device == 0 {
							return c
						}
						return Accepted
					})
					for device := range 2 {
						g.arrive(&note{device: device})
						g.arrive(&note{device: device, seq: 1})
					}
					g.wait(tick)
					asked := g.asked()
					for range 30 {
						g.wait(200 * time.Millisecond)
						early(g, m)
						g.wait(200 * time.Millisecond)
					}
					if asked = g.asked() - asked; asked < 50 || g.givenUp > 0 {
						t.Errorf("%d given up, behind %d attempts in 12 s", g.givenUp, asked)
					}
					well = true
					within(t, "those of one", g.until(20*time.Hour, func() bool { return g.accepted == 2 }), 3*time.Minute)
					within(t, "those of the other", g.until(60*time.Hour, func() bool { return g.givenUp == 2 }), 50*time.Hour)
				})
			})
		}
	}
}
