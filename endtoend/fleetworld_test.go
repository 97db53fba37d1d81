//go:build unix

package endtoend

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/adminapi"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/cmd/apnsbridge/story"
	"apnsbridge/fleet"
	"apnsbridge/gateway/devpki"
	"apnsbridge/store/pgstore"
	"apnsbridge/store/storetest"
)

// postgres is one PostgreSQL for all tests, started by the first test that needs it.
var (
	postgres      *storetest.Postgres
	startPostgres = sync.OnceValue(func() (err error) {
		if postgres, err = storetest.StartPostgres(); err == nil {
			servertest.AtEnd(postgres.Stop)
		}
		return err
	})
	schemas atomic.Int64
)

// fleetPKI is the fleet's own PKI.
var fleetPKI = sync.OnceValue(func() *devpki.PKI {
	p, err := devpki.Create("fleet")
	if err != nil {
		panic(err)
	}
	return p
})

// nodes are the gateways of one fleet, with one simulator behind them.
type nodes struct {
	t        *testing.T
	sim      *apnssim.Simulator
	engine   pgstore.Config
	settings string // of all
	all      []*world
}

// ownPostgres starts a server for one test, which may kill it.
func ownPostgres(t *testing.T) *storetest.Postgres {
	t.Helper()
	server, err := storetest.StartPostgres()
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(server.Stop)
	return server
}

// newNodes makes a fleet that has no node yet, or skips the test if there is no PostgreSQL.
// settings are added to the configuration of each node.
func newNodes(t *testing.T, scenario apnssim.Scenario, settings string) *nodes {
	t.Helper()
	if err := startPostgres(); err != nil {
		t.Skip(err)
	}
	return newNodesOn(t, postgres, scenario, settings)
}

func newNodesOn(t *testing.T, server *storetest.Postgres, scenario apnssim.Scenario, settings string) *nodes {
	t.Helper()
	certificate, err := servertest.PKI().Server.TLS()
	if err != nil {
		t.Fatal(err)
	}
	n := &nodes{t: t, settings: settings, engine: pgstore.Config{URL: server.URL(),
		Schema: fmt.Sprintf("place%d", schemas.Add(1))}}
	if n.sim, err = apnssim.Start(apnssim.Config{Certificate: certificate, Scenario: scenario}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.sim.Close() })
	if err := pgstore.Setup(t.Context(), n.engine); err != nil {
		t.Fatal(err)
	}
	return n
}

// usualLease does not run out even on a busy machine.
const (
	usualLease      = "fleet_lease: 15s, fleet_claim: 20s"
	usualLeaseLasts = 15 * time.Second
)

// configure makes a node without starting it.
func (n *nodes) configure(limits string) *world {
	n.t.Helper()
	w := newFolder(n.t, n.sim)
	w.Write("fleet.pem", fleetPKI().Server.CertPEM)
	w.Write("fleet-key.pem", fleetPKI().Server.KeyPEM)
	w.Write("fleet-ca.pem", fleetPKI().CA.CertPEM)
	text := fmt.Sprintf(story.Settings, story.Topic, n.sim.URL()) + fmt.Sprintf(`store: {path: data, postgres: {url: "%s", schema: %s}}
fleet: {node: gw%d, listen: "127.0.0.1:0", certificate: fleet.pem, key: fleet-key.pem, ca: fleet-ca.pem}
limits: {%s}
`, n.engine.URL, n.engine.Schema, len(n.all)+1, limits) + n.settings
	w.Write("apnsbridge.yaml", []byte(text))
	n.all = append(n.all, w)
	n.t.Cleanup(func() {
		if n.t.Failed() {
			n.t.Logf("%s:\n%s", w.Dir, w.Log.Whole())
		}
	})
	n.t.Cleanup(func() { w.Search(w.Log.Whole()) })
	return w
}

// serve adds apps to the configuration of a node. clientOf gives their providers.
func (w *world) serve(apps ...string) {
	for _, app := range apps {
		w.Amend("apps:\n", fmt.Sprintf(`apps:
  %[1]s:
    topic: com.example.%[1]s
    endpoint: %[2]s
    endpoint_ca: ca.pem
    credential: {token: {key: AuthKey_DEVELOPER.p8, key_id: DEVELOPER1, team_id: DEMOTEAM01}}
    clients: [{ca: ca.pem, uid: com.example.%[1]s}]
`, app, w.Sim.URL()))
	}
}

// add starts one more node.
func (n *nodes) add(limits string) *world {
	n.t.Helper()
	w := n.configure(limits)
	w.Start()
	n.t.Cleanup(n.stop)
	return w
}

// stop ends all running nodes at the same time, for each needs some seconds.
func (n *nodes) stop() {
	var ends sync.WaitGroup
	for _, w := range n.all {
		ends.Go(w.Stop)
	}
	ends.Wait()
}

// pair starts two nodes that know one another, with the demo's app on the first.
func (n *nodes) pair(limits string) (first, second *world) {
	n.t.Helper()
	first = n.add(limits)
	first.owns(n.t)
	second = n.add(limits)
	n.acquaint(first, second)
	return first, second
}

// processAnd starts two nodes that know one another, with the demo's app on the first, which is a
// process of its own and can be killed. limits are further limits of the first.
func (n *nodes) processAnd(limits string) (first *world, p *process, second *world) {
	n.t.Helper()
	first, p = n.process(shortLease + limits)
	first.owns(n.t)
	second = n.add(shortLease)
	n.acquaint(first, second)
	return first, p, second
}

// moves moves the demo's app from one node to another.
func (n *nodes) moves(t *testing.T, from, to *world) {
	t.Helper()
	if status, said := from.move(t, to.fleet().Node); status != http.StatusOK {
		t.Fatal(said)
	}
	servertest.WaitFor(t, "it has moved", func() bool { return to.place() == fleet.Here })
}

// eachMode calls do for each mode with a spool, with a fleet of that mode.
func eachMode(t *testing.T, do func(t *testing.T, n *nodes, mode string)) {
	for _, mode := range []string{"overflow", "always"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			do(t, newNodes(t, usualLatency, "spool: {mode: "+mode+"}\n"), mode)
		})
	}
}

// acquaint waits until two nodes know one another.
func (n *nodes) acquaint(first, second *world) {
	n.t.Helper()
	servertest.WaitFor(n.t, "the nodes know one another", func() bool {
		return first.linked() == 2 && second.linked() == 2
	})
}

// linked is how many nodes a node has a link to, itself among them.
func (w *world) linked() (nodes int) {
	w.T.Helper()
	for _, node := range w.fleet().Nodes {
		if node.Linked {
			nodes++
		}
	}
	return nodes
}

// owns makes a node own the demo's app: the node that is asked first takes it.
func (w *world) owns(t *testing.T) {
	t.Helper()
	w.listed(t)
	if p := w.place(); p != fleet.Here {
		t.Fatalf("the app is %v", p)
	}
}

// fleet is how a node sees its fleet.
func (w *world) fleet() (st adminapi.Fleet) {
	w.T.Helper()
	status, body := w.Ask(w.T, http.MethodGet, "/api/fleet.json", nil)
	if err := json.Unmarshal([]byte(body), &st); err != nil || status != http.StatusOK {
		w.T.Fatalf("/api/fleet.json: %d, %s", status, body)
	}
	return st
}

// place is where the demo's app lives, as far as a node is concerned.
func (w *world) place() fleet.Place {
	w.T.Helper()
	for _, a := range w.fleet().Apps {
		for _, p := range []fleet.Place{fleet.Claiming, fleet.Here, fleet.Loose, fleet.Giving} {
			if a.Name == "demo" && a.State == p.String() {
				return p
			}
		}
	}
	return fleet.Elsewhere
}

// epoch is that of the demo's app, 0 if the node does not know of it yet.
func (w *world) epoch() uint64 {
	w.T.Helper()
	for _, a := range w.fleet().Apps {
		if a.Name == "demo" {
			return a.Epoch
		}
	}
	return 0
}

// ready asks a node whether it is in service.
func (w *world) ready() bool {
	w.T.Helper()
	status, _ := w.Ask(w.T, http.MethodGet, "/readyz", nil)
	return status == http.StatusOK
}

// accepted is how many connections of providers a node has let in.
func (w *world) accepted(t *testing.T) float64 {
	return w.Sum(t, `apnsbridge_connections_accepted_total{port="push"}`)
}

// waitListed reads the feedback lists of nodes until all that they gave is enough.
func waitListed(t *testing.T, what string, enough func(listed map[string]bool) bool, nodes ...*world) {
	t.Helper()
	listed := make(map[string]bool)
	servertest.WaitFor(t, what+" is listed", func() bool {
		for _, w := range nodes {
			for device := range w.listed(t) {
				listed[device] = true
			}
		}
		return enough(listed)
	})
}
