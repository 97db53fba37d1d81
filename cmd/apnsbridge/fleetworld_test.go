//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/fleet"
	"apnsbridge/gateway/devpki"
	"apnsbridge/store/pgstore"
	"apnsbridge/store/storetest"
)

// postgres is one PostgreSQL for all tests, started with the first that needs it.
var (
	postgres      *storetest.Postgres
	startPostgres = sync.OnceValue(func() (err error) {
		if postgres, err = storetest.StartPostgres(); err == nil {
			stopPostgres = func() { postgres.Stop() }
		}
		return err
	})
	schemas atomic.Int64
)

// fleetPKI is the fleet's own.
var fleetPKI = sync.OnceValue(func() *devpki.PKI {
	p, err := devpki.Create("fleet")
	if err != nil {
		panic(err)
	}
	return p
})

// nodes are gateways that are one, with one simulator behind them.
type nodes struct {
	t        *testing.T
	sim      *apnssim.Simulator
	engine   pgstore.Config
	settings string // of all
	all      []*world
}

// newNodes makes a fleet that has no node yet, or skips the test where PostgreSQL cannot
// be had. settings are more of the configuration.
func newNodes(t *testing.T, scenario apnssim.Scenario, settings string) *nodes {
	t.Helper()
	if err := startPostgres(); err != nil {
		t.Skip(err)
	}
	return newNodesOn(t, postgres, scenario, settings)
}

func newNodesOn(t *testing.T, server *storetest.Postgres, scenario apnssim.Scenario, settings string) *nodes {
	t.Helper()
	certificate, err := pki().Server.TLS()
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

// usualLease does not run out on a machine that has much else to do.
const usualLease = "fleet_lease: 15s, fleet_claim: 20s"

// configure makes a node that is not started.
func (n *nodes) configure(limits string) *world {
	n.t.Helper()
	w := &world{t: n.t, dir: filepath.Join(n.t.TempDir(), "etc"), sim: n.sim}
	if err := pki().Write(w.dir); err != nil {
		n.t.Fatal(err)
	}
	w.write("fleet.pem", fleetPKI().Server.CertPEM)
	w.write("fleet-key.pem", fleetPKI().Server.KeyPEM)
	w.write("fleet-ca.pem", fleetPKI().CA.CertPEM)
	text := fmt.Sprintf(demoConfig, demoTopic, n.sim.URL()) + fmt.Sprintf(`store: {path: data, postgres: {url: "%s", schema: %s}}
fleet: {node: gw%d, listen: "127.0.0.1:0", certificate: fleet.pem, key: fleet-key.pem, ca: fleet-ca.pem}
limits: {%s}
`, n.engine.URL, n.engine.Schema, len(n.all)+1, limits) + n.settings
	if err := os.WriteFile(w.path("apnsbridge.yaml"), []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
	}
	n.all = append(n.all, w)
	n.t.Cleanup(func() {
		if n.t.Failed() {
			n.t.Logf("%s:\n%s", w.dir, w.log.whole())
		}
	})
	n.t.Cleanup(func() { w.search(w.log.whole()) })
	return w
}

// add starts one more node.
func (n *nodes) add(limits string) *world {
	n.t.Helper()
	w := n.configure(limits)
	w.start()
	n.t.Cleanup(w.stop)
	return w
}

// pair starts two nodes that know one another, with the demo's app on the first.
func (n *nodes) pair(limits string) (first, second *world) {
	n.t.Helper()
	first = n.add(limits)
	first.owns(n.t)
	second = n.add(limits)
	waitFor(n.t, "the nodes know one another", func() bool {
		for _, w := range []*world{first, second} {
			linked := 0
			for _, node := range w.service.fleet.member.Stats().Nodes {
				if node.Linked {
					linked++
				}
			}
			if linked != 2 {
				return false
			}
		}
		return true
	})
	return first, second
}

// owns has a node own the demo's app: whoever is asked first takes it.
func (w *world) owns(t *testing.T) {
	t.Helper()
	w.listed(t)
	if p := w.place(); p != fleet.Here {
		t.Fatalf("the app is %v", p)
	}
}

// place is where the demo's app lives, as far as a node is concerned.
func (w *world) place() fleet.Place { return w.service.fleet.member.Place("demo") }

// stopWithin drains a node.
func (w *world) stopWithin(d time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	err := w.service.stop(ctx)
	w.service = nil
	return err
}
