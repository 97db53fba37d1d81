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

// PostgreSQL takes connections and does not answer: all nodes go on delivering and stay in
// service, and one of them ends within its time. When PostgreSQL answers again, the other node
// has the app, and once the first has started again the list has what was missed.
func TestFleetEngineHangs(t *testing.T) {
	t.Parallel()
	n := newNodes(t, apnssim.Scenario{Latency: apnssim.Latency{Fixed: 10, Jitter: 10}}, "")
	to := newWay(t, postgres.Dir)
	n.engine.URL = strings.Replace(n.engine.URL, postgres.Dir, to.dir, 1)
	first, second := n.pair(shortLease)
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
	servertest.WaitFor(t, "the app is loose, and the other node still carries to it", func() bool {
		return first.place() == fleet.Loose
	})
	servertest.WaitFor(t, "both are in service, as no other is better", func() bool {
		return first.ready() && second.ready()
	})
	more()
	end()
	const drain = 20 * time.Second
	began := time.Now()
	_ = first.StopWithin(drain) // it cannot tell PostgreSQL
	took := time.Since(began)
	t.Logf("a node ended after %v", took)
	if !within(t, took, drain+10*time.Second) {
		t.Errorf("a node ended after %v", took)
	}
	answer()
	servertest.WaitFor(t, "the app is here", func() bool { return second.place() == fleet.Here })
	first.Start() // it has kept what it could not hand over
	n.settle(t, second, all...)
}

// While a place for an app is sought, its connections wait, and do not count for their address:
// programs that write and go open more of them than an address may have.
func TestFleetWritesAndGoesWhileClaiming(t *testing.T) {
	t.Parallel()
	n := newNodes(t, apnssim.Scenario{}, "")
	to := newWay(t, postgres.Dir)
	n.engine.URL = strings.Replace(n.engine.URL, postgres.Dir, to.dir, 1)
	w := n.add(usualLease + ", connections_per_address: 3")
	servertest.WaitFor(t, "the node has joined", func() bool { return len(w.fleet().Nodes) == 1 })
	to.gate.Lock()
	answer := sync.OnceFunc(to.gate.Unlock)
	t.Cleanup(answer)
	g := goer{frames: 60, bad: none}
	const lists = 12
	for i := range lists {
		if err := g.write(t.Context(), w, w.ClientTLS(), i*g.frames); err != nil {
			t.Errorf("list %d: %v", i, err)
		}
		servertest.WaitFor(t, "it does not count", func() bool {
			return w.Sum(t, `apnsbridge_limit_used{limit="connections_per_address"}`) == 0
		})
	}
	if p := w.place(); p != fleet.Claiming {
		t.Errorf("the app is %v", p)
	}
	answer()
	g.frames *= lists
	newFates(w).settle(t, g, 0)
}

// A node starts while PostgreSQL is away: it says so, and serves providers without packets.
// When PostgreSQL is back, the node joins.
func TestFleetStartsWithoutEngine(t *testing.T) {
	t.Parallel()
	server := ownPostgres(t)
	n := newNodesOn(t, server, apnssim.Scenario{}, "")
	server.Kill()
	w := n.add("fleet_lease: 2s, fleet_claim: 3s")
	w.pushEach(t, servertest.Token("dead", 1), servertest.Token("bad0", 1), servertest.Token("ab", 1))
	w.Await("the good one arrives", func(s apnssim.Stats) bool { return s.Accepted == 1 })
	if _, text := w.Ask(t, http.MethodGet, "/readyz", nil); !w.ready() ||
		!strings.Contains(text, "PostgreSQL cannot be reached") ||
		!strings.Contains(text, "told of no failure") {
		t.Errorf("ready %v, and it says %q", w.ready(), text)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	servertest.WaitFor(t, "the app is here", func() bool { return w.place() == fleet.Here })
	waitListed(t, "what was missed", func(listed map[string]bool) bool { return len(listed) == 2 }, w)
}

// The owner is killed while PostgreSQL is away.
func TestFleetKilledWithoutEngine(t *testing.T) {
	inLong(t)
	t.Parallel()
	server := ownPostgres(t)
	n := newNodesOn(t, server, usualLatency, "")
	_, p, second := n.processAnd("")
	all, _, end := steady(t, second)
	n.more(t, 300)
	server.Kill()
	n.more(t, 300)
	p.kill()
	servertest.WaitFor(t, "the second is loose", func() bool { return second.place() == fleet.Loose })
	n.more(t, 300)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	servertest.WaitFor(t, "the second has it", func() bool { return second.place() == fleet.Here })
	n.more(t, 300)
	end()
	n.audit(t, second, all, 1000)
}

// The owner ends while PostgreSQL is away, with notifications waiting on its own disk, and starts
// again once PostgreSQL is back. It ends at once or after the app has become loose, and in the
// second case while APNs is well or answers 503.
func TestFleetEndsWithoutEngine(t *testing.T) {
	inLong(t)
	for name, tt := range map[string]struct {
		loose   bool
		trouble apnssim.Scenario
	}{
		"at once":    {false, usualLatency},
		"loose":      {true, usualLatency},
		"loose, 503": {true, troubles["503"]},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := ownPostgres(t)
			n := newNodesOn(t, server, usualLatency, "")
			first, p, second := n.processAnd(", drain: 10s")
			_, of, end := steady(t, first, second)
			n.more(t, 300)
			server.Kill()
			if tt.loose {
				servertest.WaitFor(t, "the app is loose", func() bool { return first.place() == fleet.Loose })
			} else {
				n.more(t, 100)
			}
			n.becomes(t, tt.trouble)
			began := time.Now()
			p.terminate()
			_ = p.wait() // it cannot tell PostgreSQL
			// five more than drain, in which PostgreSQL is asked
			if took := time.Since(began); !within(t, took, 17*time.Second) {
				t.Errorf("it has ended after %v", took)
			}
			n.becomes(t, usualLatency)
			if tt.loose {
				n.more(t, 100)
			}
			if err := server.Start(); err != nil {
				t.Fatal(err)
			}
			startProcess(t, first)
			servertest.WaitFor(t, "one has it", oneHas(first, second))
			n.more(t, 300)
			end()
			n.settle(t, second, of...)
		})
	}
}

// PostgreSQL is too slow for the ledger of a node that ends. No provider is told of a failure
// whose record could not be written, so that none sends again what the next node does not know.
func TestFleetEndsWithSlowLedger(t *testing.T) {
	inLong(t)
	t.Parallel()
	n := newNodes(t, usualLatency, "")
	first, second := n.pair("fleet_lease: 8s, fleet_claim: 10s, drain: 10s")
	_, of, end := steady(t, second)
	n.more(t, 500)
	n.sql(t, "create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(8); return new; end $$",
		"create trigger f before insert or update on ledger for each row execute function slow()")
	servertest.WaitFor(t, "it says so", func() bool {
		return strings.Contains(first.Log.Whole(), "the resend ledger cannot be written")
	})
	n.more(t, 2000)
	_ = first.StopWithin(30 * time.Second)
	n.sql(t, "drop function slow() cascade")
	servertest.WaitFor(t, "the second has it", func() bool { return second.place() == fleet.Here })
	n.more(t, 500)
	end()
	n.settle(t, second, of...)
}
