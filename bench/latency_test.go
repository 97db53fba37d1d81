package bench

import (
	"testing"
	"time"
)

// BenchmarkLatency measures how long notifications take from the provider's write to
// their arrival at APNs, at half of what a gateway can carry and at next to nothing,
// from ten connections. One op is a second. The server is the one in Go, which costs
// less than nginx, so that the gateway limits the speed.
func BenchmarkLatency(b *testing.B) {
	identity := writePKI(b)
	var slow int // what the listener can carry
	for _, name := range []string{"listener", "gateway"} {
		b.Run(name+"/half", func(b *testing.B) {
			l := startLine(b, name, setting{PKI: identity})
			most := l.capacity()
			if name == "listener" {
				slow = int(most.speed)
			}
			l.measure(b, int(most.speed)/2)
			b.ReportMetric(most.speed, "at-most-notifications/s")
			b.ReportMetric(most.cpu, "then-cpu-µs/notification")
		})
	}
	b.Run("gateway/light", func(b *testing.B) {
		startLine(b, "gateway", setting{PKI: identity}).measure(b, lightRate)
	})
	b.Run("gateway/half-of-listener", func(b *testing.B) {
		if slow == 0 {
			b.Skip("the listener was not measured")
		}
		l := startLine(b, "gateway", setting{PKI: identity})
		l.capacity() // only so that as many connections are open as before
		l.measure(b, slow/2)
	})
}

// lightRate is a number of notifications a second that leaves every processor mostly idle.
const lightRate = 5000

// line is a relay and the server behind it, which notes when a notification
// arrived.
type line struct {
	*relay
	apns *child
}

func startLine(tb testing.TB, part string, s setting) *line {
	tb.Helper()
	apns := startChild(tb, "apns", setting{PKI: s.PKI})
	s.Target = apns.address
	return &line{apns: apns, relay: startRelay(tb, part, s, 10)}
}

// capacity measures how much the line can carry.
func (l *line) capacity() round {
	var all []round
	l.send(50_000)
	for range 5 {
		all = append(all, l.round(l.apns.tb, 50_000))
	}
	w := way{rounds: all}
	return round{speed: w.median(speedOf), cpu: w.median(cpuOf)}
}

func (l *line) pace(count, rate int) delays {
	l.relay.pace(count, rate)
	return l.apns.ask(order{Do: "delays"}).Delays
}

func (l *line) measure(b *testing.B, rate int) {
	l.pace(rate/2, rate)
	var p50, p99 []float64
	most := time.Duration(0)
	for b.Loop() {
		d := l.pace(rate, rate)
		if d.Count != rate {
			b.Fatalf("%d of %d notifications arrived", d.Count, rate)
		}
		p50, p99, most = append(p50, micros(d.P50)), append(p99, micros(d.P99)), max(most, d.Most)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(rate), "notifications/s")
	b.ReportMetric(median(p50), "p50-µs")
	b.ReportMetric(median(p99), "p99-µs")
	b.ReportMetric(micros(most), "most-µs")
}
