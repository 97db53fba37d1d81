package upstream

import (
	"testing"

	"apnsbridge/bridge/apnssim"
)

// The streams are those that APNs allows and the limit does, on all connections in use.
func TestStreams(t *testing.T) {
	for _, test := range []struct {
		name               string
		allowed, most, all int
	}{
		{"APNs allows fewer", 100, 400, 100},
		{"the limit is less", 500, 40, 40},
	} {
		t.Run(test.name, func(t *testing.T) {
			sim := startSim(t, apnssim.Scenario{MaxConcurrentStreams: test.allowed})
			g := newRig(t, sim, Limits{Streams: test.most})
			if got := g.Stats().Streams; got != 0 {
				t.Errorf("%d streams without a connection", got)
			}
			g.push(goodDevice, 1, hello)
			until(t, "APNs has said what it allows", func() bool { return g.Stats().Streams == test.all })
			g.send(fresh(1))
			until(t, "so on one that takes the place of the first", func() bool {
				st := g.Stats()
				return st.Connections == 1 && st.Leaving == 0 && st.Streams == test.all
			})
		})
	}
}
