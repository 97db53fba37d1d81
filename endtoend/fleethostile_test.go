//go:build unix

package endtoend

import (
	"context"
	"crypto/tls"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/fleet"
)

// audit waits until every notification that providers have sent has ended. Those written last on a connection that
// broke may be lost, and mostDoubled may arrive twice.
func (n *nodes) audit(t *testing.T, from *world, all []*resender, mostDoubled int) {
	t.Helper()
	listed := make(map[string]bool)
	var lost, untold, doubled []int
	for deadline := time.Now().Add(servertest.Patience); ; {
		arrivals := from.arrivals(t)
		for token := range from.listed(t) {
			listed[token] = true
		}
		lost, untold, doubled = nil, nil, nil
		for _, p := range all {
			for i := range p.report.Taken {
				number := p.base + i
				arrives := fateOf(i) == toArrive
				switch times := len(arrivals[number]); {
				case times > 1:
					doubled = append(doubled, number)
				case p.isUnsure(i):
				case arrives && times == 0:
					lost = append(lost, number)
				case !arrives && !p.told(number) && !listed[string(mixed(number).Token)]:
					untold = append(untold, number)
				}
			}
		}
		if len(lost)+len(untold) == 0 || time.Now().After(deadline) {
			break
		}
		time.Sleep(100 * time.Millisecond) // between two checks of a condition
	}
	if len(lost)+len(untold) > 0 || len(doubled) > mostDoubled {
		t.Errorf("%d lost (%v), %d doubled (%v), %d bad ones without a word (%v)", len(lost), some(lost), len(doubled),
			some(doubled), len(untold), some(untold))
	}
	t.Logf("%d doubled", len(doubled))
}

// sql runs statements in the fleet's PostgreSQL.
func (n *nodes) sql(t *testing.T, all ...string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), n.engine.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), "set search_path = "+n.engine.Schema); err != nil {
		t.Fatal(err)
	}
	for _, text := range all {
		if _, err := conn.Exec(t.Context(), text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
}

func (n *nodes) more(t *testing.T, count int) {
	t.Helper()
	before := n.sim.Stats().Accepted
	n.all[0].Await("there is load", func(s apnssim.Stats) bool { return s.Accepted > before+count })
}

func oneHas(a, b *world) func() bool {
	return func() bool {
		return a.place() == fleet.Here && b.place() == fleet.Elsewhere || a.place() == fleet.Elsewhere && b.place() == fleet.Here
	}
}

// shortLease runs out soon, and not on a machine that keeps a node from its processor for a second or three.
const shortLease = "fleet_lease: 6s, fleet_claim: 8s"

var usualLatency = apnssim.Scenario{Latency: apnssim.Latency{Fixed: 10, Jitter: 10}}

func (w *world) move(t *testing.T, to string) (int, string) {
	return w.Ask(t, http.MethodPost, "/apps/demo/move?to="+to, nil)
}

// process starts a node as a process of its own.
func (n *nodes) process(limits string) (*world, *process) {
	w := n.configure(limits)
	w.FixPorts()
	return w, startProcess(n.t, w)
}

// inLong skips a test unless -long asks for it.
func inLong(t *testing.T) {
	t.Helper()
	if !*long {
		t.Skip("only with -long")
	}
}

// Strangers connect to the fleet's link: with a certificate of the providers' CA, with none, in plain text, and with
// another version.
func TestFleetLinkStrangers(t *testing.T) {
	inLong(t)
	t.Parallel()
	n := newNodes(t, usualLatency, "")
	first, second := n.pair(shortLease)
	_, of, end := steady(t, first, second)
	n.more(t, 100)
	var address string
	for _, node := range first.fleet().Nodes {
		if node.Name == "gw1" {
			address = node.Address
		}
	}
	provider := first.ClientTLS()
	provider.InsecureSkipVerify = true
	var strangers sync.WaitGroup
	for _, c := range []*tls.Config{provider, {InsecureSkipVerify: true},
		{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}} {
		for range 50 {
			strangers.Go(func() {
				conn, err := tls.Dial("tcp", address, c)
				if err != nil {
					return
				}
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
				conn.Write([]byte("hello, I am gw2"))
				if k, err := conn.Read(make([]byte, 100)); err == nil {
					t.Errorf("a stranger read %d bytes", k)
				}
			})
		}
	}
	strangers.Wait()
	n.more(t, 300)
	end()
	n.settle(t, first, of...)
}
