package bench

import (
	"testing"
	"time"
)

const floodConnections = 1000

// BenchmarkFlood measures how long a healthy app's notifications take while 1,000
// connections write all they can for another app, whose APNs answers nothing. A
// second gateway has the same two apps and no flood; the two take turns. One op is a
// second of each. By then the flood has come to rest, because its connections are
// blocked; how the healthy app fared until then is reported separately.
func BenchmarkFlood(b *testing.B) {
	identity := writePKI(b)
	for _, spool := range []string{"off", "overflow", "always"} {
		b.Run("spool="+spool, func(b *testing.B) {
			mute := startChild(b, "apns", setting{PKI: identity, Mute: true})
			s := setting{PKI: identity, Spool: spool, Other: mute.address}
			calm, flooded := startLine(b, "gateway", s), startLine(b, "gateway", s)
			for _, l := range []*line{calm, flooded} {
				l.pace(lightRate, lightRate) // warm-up: connections are opened, buffers grow
			}
			before := flooded.gateway.ask(order{Do: "resident"}).Usage
			rising := startFlood(b, flooded, identity)
			var p99, idle99, ratios []float64
			for b.Loop() {
				idle, busy := calm.pace(lightRate, lightRate), flooded.pace(lightRate, lightRate)
				idle99, p99 = append(idle99, micros(idle.P99)), append(p99, micros(busy.P99))
				ratios = append(ratios, float64(busy.P99)/float64(idle.P99))
			}
			used := flooded.gateway.ask(order{Do: "resident"}).Usage.since(before)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(idle99), "idle-p99-µs")
			b.ReportMetric(median(p99), "flooded-p99-µs")
			b.ReportMetric(median(ratios), "of-idle")
			b.ReportMetric(median(rising), "rising-p99-µs")
			b.ReportMetric(float64(used.Resident)/(1<<20), "flood-MiB")
		})
	}
}

// startFlood lets 1,000 connections write until the gateway takes no more, and
// returns the healthy app's p99 in each second until then.
func startFlood(b *testing.B, l *line, identity string) (rising []float64) {
	flood := startChild(b, "provider", setting{PKI: identity, Target: l.gateway.address, Anonymous: true})
	flood.ask(order{Do: "dial", Count: floodConnections})
	flood.ask(order{Do: "flood"})
	written := -1
	for end := time.Now().Add(patience); ; {
		rising = append(rising, micros(l.pace(lightRate, lightRate).P99))
		now := flood.ask(order{Do: "written"}).Written
		if now == written {
			b.Logf("%d notifications of the flood were taken, in %d s", now, len(rising))
			return rising
		}
		if written = now; time.Now().After(end) {
			b.Fatalf("the flood does not come to rest: %d notifications so far", now)
		}
	}
}
