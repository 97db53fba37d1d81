//go:build unix

package endtoend

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/fleet"
)

// PostgreSQL takes connections and does not answer: all nodes deliver all the time and
// stay in service, and one of them ends in its time. When it answers again, the other has
// the app, and the list has what was missed, once the first has started again.
func TestFleetEngineHangs(t *testing.T) {
	t.Parallel()
	n := newNodes(t, apnssim.Scenario{Latency: apnssim.Latency{Fixed: 10, Jitter: 10}}, "")
	to := newWay(t, postgres.Dir)
	n.engine.URL = strings.Replace(n.engine.URL, postgres.Dir, to.dir, 1)
	first, second := n.pair("fleet_lease: 2s, fleet_claim: 3s")
	_, all, end := steady(t, first, second)
	more := func() {
		t.Helper()
		before := n.sim.Stats().Accepted
		first.Await("they deliver", func(s apnssim.Stats) bool { return s.Accepted > before+1000 })
	}
	more()
	to.gate.Lock()
	answer := sync.OnceFunc(to.gate.Unlock)
	t.Cleanup(answer)
	servertest.WaitFor(t, "the app is loose, and the other node still carries to it", func() bool { return first.place() == fleet.Loose })
	servertest.WaitFor(t, "both are in service, as no other is better", func() bool {
		return first.ready() && second.ready()
	})
	more()
	end()
	const drain = 20 * time.Second
	began := time.Now()
	_ = first.StopWithin(drain) // it cannot tell PostgreSQL
	if took := time.Since(began); took > drain+10*time.Second {
		t.Errorf("a node ended after %v", took)
	}
	answer()
	servertest.WaitFor(t, "the app is here", func() bool { return second.place() == fleet.Here })
	first.Start() // it has kept what it could not hand over
	n.settle(t, second, all...)
}

// A node starts while PostgreSQL is away: it says so, and serves providers without packets.
// When PostgreSQL is there it joins; and while the schema is not, it says that.
func TestFleetStartsWithoutEngine(t *testing.T) {
	t.Parallel()
	server := ownPostgres(t)
	n := newNodesOn(t, server, apnssim.Scenario{}, "")
	server.Kill()
	w := n.add("fleet_lease: 2s, fleet_claim: 3s")
	w.pushEach(t, servertest.Token("dead", 1), servertest.Token("bad0", 1), servertest.Token("ab", 1))
	w.Await("the good one arrives", func(s apnssim.Stats) bool { return s.Accepted == 1 })
	if _, text := w.Ask(t, http.MethodGet, "/readyz", nil); !w.ready() || !strings.Contains(text, "PostgreSQL cannot be reached") ||
		!strings.Contains(text, "told of no failure") {
		t.Errorf("ready %v, and it says %q", w.ready(), text)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	servertest.WaitFor(t, "the app is here", func() bool { return w.place() == fleet.Here })
	listed := make(map[string]bool)
	servertest.WaitFor(t, "what was missed is listed", func() bool {
		for device := range w.listed(t) {
			listed[device] = true
		}
		return len(listed) == 2
	})
}
