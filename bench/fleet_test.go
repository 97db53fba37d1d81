package bench

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/cmd/apnsbridge/config"
	"apnsbridge/cmd/apnsbridge/server"
	"apnsbridge/gateway/devpki"
	"apnsbridge/store/pgstore"
	"apnsbridge/store/storetest"
)

// servePart is the gateway as apnsbridge serve runs it: alone, or as a node of a fleet.
type servePart struct {
	service *server.Service
	admin   string
}

// serveSettings is a format for the PKI's directory, the endpoint and the spool's mode.
const serveSettings = `gateway: {listen: "127.0.0.1:0"}
feedback: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
tls: {certificate: %[1]s/server.pem, key: %[1]s/server-key.pem}
apps:
  %[4]s:
    topic: %[5]s
    endpoint: https://%[2]s
    endpoint_ca: %[1]s/ca.pem
    credential: {token: {key: %[1]s/AuthKey_DEVELOPER.p8, key_id: ABC123DEFG, team_id: DEF123GHIJ}}
    clients: [{ca: %[1]s/ca.pem, any: true}]
spool: {mode: %[3]s, max_bytes: 4GiB}
limits: {connections_per_address: 5000, handshake_rate_per_address: 100000/s, fleet_lease: 10s, fleet_claim: 20s}
`

func startServe(s setting) (part, string, error) {
	text := fmt.Sprintf(serveSettings, s.PKI, s.Target, s.Spool, app, topic)
	if s.Postgres == "" {
		text += "store: {path: data}\n"
	} else {
		text += fmt.Sprintf(`store: {path: data, postgres: {url: "%s"}}
fleet: {node: %s, listen: "127.0.0.1:0", certificate: %[3]s/server.pem, key: %[3]s/server-key.pem, ca: %[3]s/ca.pem}
`, s.Postgres, s.Node, s.FleetPKI)
	}
	path := filepath.Join(s.Dir, "apnsbridge.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return nil, "", err
	}
	settings, err := config.Load(path)
	if err != nil {
		return nil, "", err
	}
	assembled, err := server.Assemble(settings)
	if err != nil {
		return nil, "", err
	}
	service, err := server.New(assembled, server.Options{Log: zerolog.Nop()})
	if err != nil {
		return nil, "", err
	}
	push, _, admin := service.Addresses()
	return &servePart{service, admin.String()}, push.String(), nil
}

// do knows the orders "accepted", which waits until Count notifications have been accepted
// since the start, and "linked", until Count nodes are linked, itself included.
func (p *servePart) do(o order) (answer, error) {
	var begins string
	switch o.Do {
	case "accepted":
		begins = "apnsbridge_notifications_total{"
	case "linked":
		begins = "apnsbridge_fleet_nodes "
	default:
		return answer{}, errOrder(o)
	}
	var failed error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(25 * time.Millisecond) { // scrapes cost
		var got float64
		if got, failed = p.sum(begins, `outcome="accepted"`); failed != nil || got >= float64(o.Count) {
			return answer{}, failed
		}
	}
	return answer{}, fmt.Errorf("not done after %v", patience)
}

// sum adds up the samples that begin with begins and, if that ends in "{", contain label.
func (p *servePart) sum(begins, label string) (sum float64, err error) {
	answer, err := http.Get("http://" + p.admin + "/metrics")
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		line := lines.Text()
		if !strings.HasPrefix(line, begins) || strings.HasSuffix(begins, "{") && !strings.Contains(line, label) {
			continue
		}
		value, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
		if err != nil {
			return 0, err
		}
		sum += value
	}
	return sum, nil
}

func (p *servePart) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond) // there is nothing to drain
	defer cancel()
	_ = p.service.Stop(ctx)
}

// fleetRelay is providers in front of a node that carries to another.
type fleetRelay struct {
	*relay
	owner *child
}

// round is a round whose CPU time is that of both nodes.
func (r *fleetRelay) round(tb testing.TB, count int) round {
	tb.Helper()
	entry := r.gateway.ask(order{Do: "usage"}).Usage
	owned := measure(r.owner, count, func() {
		r.providers.ask(order{Do: "send", Count: count})
		r.sent += count
		r.owner.ask(order{Do: "accepted", Count: r.sent})
	})
	carried := r.gateway.ask(order{Do: "usage"}).Usage.since(entry)
	owned.cpu += micros(carried.CPU) / float64(count)
	owned.allocs += float64(carried.Mallocs) / float64(count)
	return owned
}

// The names of the ways that are compared.
const (
	viaAlone   = "alone"
	viaNode    = "node"
	viaCarried = "carried"
)

// startFleetWays starts a gateway alone, a node of a fleet that has the app, and two nodes of which one carries to
// the other, all in front of one server. The nodes have a PostgreSQL for themselves.
func startFleetWays(tb testing.TB, mode string, connections, count int) []*way {
	tb.Helper()
	postgres, err := storetest.StartPostgres()
	if err != nil {
		tb.Skip(err)
	}
	tb.Cleanup(postgres.Stop)
	identity, fleetPKI := writePKI(tb), filepath.Join(tb.TempDir(), "fleet")
	own, err := devpki.Create("fleet")
	if err == nil {
		err = own.Write(fleetPKI)
	}
	if err != nil {
		tb.Fatal(err)
	}
	var apns string
	if nginx := find("nginx"); nginx != "" {
		apns = startNginx(tb, nginx, identity)
	} else {
		apns = startChild(tb, "apns", setting{PKI: identity}).address
	}
	s := setting{PKI: identity, FleetPKI: fleetPKI, Target: apns, Spool: mode}
	node := func(schema, name string) setting {
		c := pgstore.Config{URL: postgres.URL(), Schema: schema}
		if err := pgstore.Setup(ctx, c); err != nil {
			tb.Fatal(err)
		}
		of := s
		of.Postgres, of.Node = fmt.Sprintf(`%s", schema: "%s`, postgres.URL(), schema), name
		return of
	}
	alone := startRelay(tb, "serve", s, connections)
	single := startRelay(tb, "serve", node("single", "gw1"), connections)
	owner := startRelay(tb, "serve", node("pair", "gw1"), 1)
	owner.send(100) // so that this node has the app
	entry := startChild(tb, "serve", node("pair", "gw2"))
	entry.ask(order{Do: "linked", Count: 2})
	to := setting{PKI: identity, Target: entry.address}
	providers := startChild(tb, "provider", to)
	providers.ask(order{Do: "dial", Count: connections})
	carried := &fleetRelay{&relay{gateway: entry, providers: providers, sent: owner.sent}, owner.gateway}
	return []*way{{name: viaAlone, count: count, round: alone.round}, {name: viaNode, count: count, round: single.round},
		{name: viaCarried, count: count, round: carried.round}}
}

// BenchmarkFleet has one op for one round each through a gateway alone, through a node that has the app, and through
// a node that carries to it, in turn and in each mode of the spool. The CPU time of a node does not include
// PostgreSQL's; for carried notifications it is that of both nodes together.
func BenchmarkFleet(b *testing.B) {
	for _, mode := range []string{"overflow", "always"} {
		b.Run(mode, func(b *testing.B) {
			count := 100_000
			if *long {
				count *= 5
			}
			ways := startFleetWays(b, mode, 10, count)
			for _, w := range ways {
				w.round(b, w.count)
			}
			for b.Loop() {
				for _, w := range ways {
					w.rounds = append(w.rounds, w.round(b, w.count))
				}
			}
			b.ReportMetric(0, "ns/op")
			var table strings.Builder
			for _, w := range ways {
				speed, cpu := w.ratio(ways[0], speedOf), w.ratio(ways[0], cpuOf)
				fmt.Fprintf(&table, "\n%-8s %8.0f notifications/s %6.2f cpu-µs %5.2f allocs   %.2f × the speed, %.2f × the CPU",
					w.name, w.median(speedOf), w.median(cpuOf), w.median(allocsOf), speed, cpu)
				b.ReportMetric(w.median(speedOf), w.name+"-notifications/s")
				b.ReportMetric(w.median(cpuOf), w.name+"-cpu-µs/notification")
				b.ReportMetric(speed, w.name+"-speed-of-alone")
				b.ReportMetric(cpu, w.name+"-cpu-of-alone")
			}
			b.Log(table.String())
		})
	}
}

// All ways through a fleet deliver everything that they are given.
func TestFleetWays(t *testing.T) {
	for _, w := range startFleetWays(t, "overflow", 2, 500) {
		if r := w.round(t, w.count); !(r.speed > 0) {
			t.Errorf("%s: got %+v", w.name, r)
		}
	}
}
