package bench

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"apnsbridge/binproto"
)

// round has the measurements of one round of notifications.
type round struct {
	speed  float64 // notifications a second, from the provider's first write to the last answer
	cpu    float64 // µs per notification, of the process that is measured
	allocs float64 // per notification, of that process; NaN if unknown
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// way is one way for notifications to get to APNs.
type way struct {
	name  string
	count int // notifications a round, which takes about a second
	round func(tb testing.TB, count int) round

	rounds []round
}

// relay is a gateway in one process, with providers in front of it in another.
type relay struct {
	gateway, providers *child
	sent               int // notifications sent to the gateway, all of which have their answers
	upstream           int // connections to APNs that the gateway had then
}

func startRelay(tb testing.TB, part string, s setting, connections int) *relay {
	tb.Helper()
	r := &relay{gateway: startChild(tb, part, s)}
	s.Target, s.Program = r.gateway.address, ""
	r.providers = startChild(tb, "provider", s)
	r.providers.ask(order{Do: "dial", Count: connections})
	return r
}

func (r *relay) send(count int) {
	r.providers.tb.Helper()
	r.providers.ask(order{Do: "send", Count: count})
	r.settle(count)
}

func (r *relay) pace(count, rate int) {
	r.providers.tb.Helper()
	r.providers.ask(order{Do: "pace", Count: count, Rate: rate})
	r.settle(count)
}

// settle waits until count more have their answers.
func (r *relay) settle(count int) {
	r.gateway.tb.Helper()
	r.sent += count
	r.upstream = r.gateway.ask(order{Do: "accepted", Count: r.sent}).Upstream
}

func (r *relay) round(tb testing.TB, count int) round {
	tb.Helper()
	return measure(r.gateway, count, func() { r.send(count) })
}

// measure measures what c uses while f makes it deliver count notifications.
func measure(c *child, count int, f func()) round {
	c.tb.Helper()
	before := c.ask(order{Do: "usage"}).Usage
	start := time.Now()
	f()
	taken := time.Since(start)
	used := c.ask(order{Do: "usage"}).Usage.since(before)
	n := float64(count)
	return round{speed: n / taken.Seconds(), cpu: micros(used.CPU) / n, allocs: float64(used.Mallocs) / n}
}

// The names of the ways.
const (
	viaListener = "listener+apns2" // what one would write first, see listenerPart
	viaApns2    = "apns2"          // alone, without providers
	viaGateway  = "gateway"
	viaDurable  = "gateway-always" // with spool.mode always: nothing is forwarded before it is on disk
	viaH2load   = "h2load"         // alone, without providers
)

// startWays starts all ways that this machine has the programs for, in front of the
// same server. The slow ones get fewer notifications.
func startWays(tb testing.TB, connections, fast, slow int) []*way {
	tb.Helper()
	identity := writePKI(tb)
	var apns string
	nginx, load := find("nginx"), find("h2load")
	if nginx != "" {
		apns = startNginx(tb, nginx, identity)
	} else {
		tb.Log("nginx is not installed: a server in Go answers instead, with which the ratios mean less")
		apns = startChild(tb, "apns", setting{PKI: identity}).address
	}
	listener := startRelay(tb, "listener", setting{PKI: identity, Target: apns}, connections)
	gateway := startRelay(tb, "gateway", setting{PKI: identity, Target: apns}, connections)
	durable := startRelay(tb, "gateway", setting{PKI: identity, Target: apns, Spool: "always"}, connections)
	pusher := startChild(tb, "apns2", setting{PKI: identity, Target: apns})
	ways := []*way{
		{name: viaListener, count: slow, round: listener.round},
		{name: viaGateway, count: fast, round: gateway.round},
		{name: viaDurable, count: fast, round: durable.round},
		{name: viaApns2, count: slow, round: func(tb testing.TB, count int) round {
			tb.Helper()
			return measure(pusher, count, func() { pusher.ask(order{Do: "push", Count: count}) })
		}},
	}
	if load == "" {
		tb.Log("h2load is not installed")
		return ways
	}
	l := newH2load(tb, load, apns)
	return append(ways, &way{name: viaH2load, count: fast, round: func(tb testing.TB, count int) round {
		tb.Helper()
		l.connections = max(gateway.upstream, 1)
		return l.round(tb, count)
	}})
}

// BenchmarkSideBySide has one op for one round of each way in turn, all in front of
// the same server. Its figures are medians of the rounds, its ratios medians of the
// ratios within one round, so that whatever else the machine does matters less.
func BenchmarkSideBySide(b *testing.B) {
	for _, connections := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("connections=%d", connections), func(b *testing.B) {
			fast, slow := 100_000, 20_000
			if *long {
				fast, slow = 5*fast, 5*slow
			}
			ways := startWays(b, connections, fast, slow)
			for _, w := range ways { // warm-up: connections are opened, buffers grow
				w.round(b, w.count)
			}
			for b.Loop() {
				for _, w := range ways {
					w.rounds = append(w.rounds, w.round(b, w.count))
				}
			}
			report(b, ways)
		})
	}
}

func report(b *testing.B, ways []*way) {
	b.ReportMetric(0, "ns/op")
	by := make(map[string]*way)
	var table strings.Builder
	for _, w := range ways {
		by[w.name] = w
		speed, cpu, allocs := w.median(speedOf), w.median(cpuOf), w.median(allocsOf)
		fmt.Fprintf(&table, "\n%-15s %8.0f notifications/s %6.2f cpu-µs %6.2f allocs", w.name, speed, cpu, allocs)
		b.ReportMetric(speed, w.name+"-notifications/s")
		b.ReportMetric(cpu, w.name+"-cpu-µs/notification")
		if !math.IsNaN(allocs) {
			b.ReportMetric(allocs, w.name+"-allocs/notification")
		}
	}
	gateway := by[viaGateway]
	for _, of := range []struct{ way, to *way }{{gateway, by[viaListener]}, {by[viaDurable], by[viaListener]},
		{gateway, by[viaH2load]}} {
		if of.to == nil {
			continue
		}
		speed, cpu := of.way.ratio(of.to, speedOf), of.way.ratio(of.to, cpuOf)
		b.ReportMetric(speed, of.way.name+"-speed-of-"+of.to.name)
		b.ReportMetric(cpu, of.way.name+"-cpu-of-"+of.to.name)
		fmt.Fprintf(&table, "\n%s: %.2f × the speed of %s at %.3f × its CPU", of.way.name, speed, of.to.name, cpu)
	}
	parse := parseTime() / gateway.median(cpuOf) * 100
	b.ReportMetric(parse, "parse-%")
	fmt.Fprintf(&table, "\nparse is %.2f %% of the gateway's CPU", parse)
	b.Log(table.String())
}

func speedOf(r round) float64  { return r.speed }
func cpuOf(r round) float64    { return r.cpu }
func allocsOf(r round) float64 { return r.allocs }

func (w *way) median(of func(round) float64) float64 {
	var all []float64
	for _, r := range w.rounds {
		all = append(all, of(r))
	}
	return median(all)
}

// ratio returns the median of w's ratios to other, round by round.
func (w *way) ratio(other *way, of func(round) float64) float64 {
	var all []float64
	for i, r := range w.rounds {
		all = append(all, of(r)/of(other.rounds[i]))
	}
	return median(all)
}

func median(all []float64) float64 {
	slices.Sort(all)
	n := len(all)
	return (all[(n-1)/2] + all[n/2]) / 2
}

// parseTime measures how long it takes to parse the frame that is used, in µs.
func parseTime() float64 {
	frame, parser := sample().Append(nil), binproto.DefaultParser()
	var n binproto.Notification
	const times = 1_000_000
	start := time.Now()
	for range times {
		if _, err := parser.Parse(frame, &n); err != nil {
			panic(err)
		}
	}
	return micros(time.Since(start)) / times
}

// All ways that are compared deliver everything that they are given.
func TestWays(t *testing.T) {
	for _, w := range startWays(t, 3, 500, 500) {
		for range 2 {
			if r := w.round(t, w.count); !(r.speed > 0) || r.cpu < 0 {
				t.Errorf("%s: got %+v", w.name, r)
			}
		}
	}
}
