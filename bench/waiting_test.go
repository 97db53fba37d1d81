package bench

import (
	"fmt"
	"testing"
	"time"
)

// steadyRate is how many notifications a second go to healthy devices, and throttledRate to those
// of ManyDevices: written as fast as they are taken, they would show who gets the processors.
const (
	steadyRate    = 2000
	throttledRate = 20_000
)

// steady is a line for notifications to healthy devices, while notifications to others
// wait.
type steady struct {
	*line
	trouble *child // providers of the notifications that wait
	refused *child // the same, with a topic that APNs refuses
}

func startSteady(b *testing.B, s setting) *steady {
	b.Helper()
	apns := startChild(b, "apns", setting{PKI: s.PKI})
	s.Target, s.Topics = apns.address, true
	l := &steady{line: &line{apns: apns, relay: startRelay(b, "gateway", s, 10)}}
	s.Target = l.gateway.address
	l.trouble = startChild(b, "provider", s)
	l.trouble.ask(order{Do: "dial", Count: 4})
	s.Anonymous = true
	l.refused = startChild(b, "provider", s)
	l.refused.ask(order{Do: "dial", Count: 1})
	l.second()
	return l
}

// second sends notifications for a second, and returns how long after they were due
// they came to APNs.
func (l *steady) second() delays {
	l.apns.tb.Helper()
	l.providers.ask(order{Do: "pace", Count: steadyRate, Rate: steadyRate})
	return l.apns.ask(order{Do: "delays", Count: steadyRate}).Delays
}

func (l *steady) counts() counts { return l.gateway.ask(order{Do: "counts"}).Counts }

// anonymous returns the gateway's anonymous memory, in MiB.
func (l *steady) anonymous() float64 {
	return float64(l.gateway.ask(order{Do: "anonymous"}).Usage.Resident) / (1 << 20)
}

// compared has the measurements of seconds with trouble and without.
type compared struct {
	calm, busy, ratios []float64
	most               time.Duration // with trouble
	memory             []float64     // with trouble
}

func (c *compared) second(calm, busy *steady) {
	without, with := calm.second(), busy.second()
	c.calm, c.busy = append(c.calm, micros(without.P99)), append(c.busy, micros(with.P99))
	c.ratios = append(c.ratios, float64(with.P99)/float64(without.P99))
	c.most = max(c.most, with.Most)
	c.memory = append(c.memory, busy.anonymous())
}

func (c *compared) report(b *testing.B) {
	first, last := c.memory[0], c.memory[len(c.memory)-1]
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(c.calm), "p99-µs-without")
	b.ReportMetric(median(c.busy), "p99-µs")
	b.ReportMetric(median(c.ratios), "p99-of-without")
	b.ReportMetric(micros(c.most)/1000, "most-ms")
	b.ReportMetric(first, "first-MiB")
	b.ReportMetric(last, "last-MiB")
}

// BenchmarkOneDevice measures how long notifications take while others of their app wait
// because of their own device or topic: 100,000 for a device that APNs throttles, 1,000 for
// one whose pushes always fail, 50 for one failing device each, sent every 10 ms, and 1,000
// for a topic that APNs refuses. A second gateway has none of those; the two take turns. One
// op is a second of each.
func BenchmarkOneDevice(b *testing.B) {
	for _, spool := range []string{"off", "overflow", "always"} {
		b.Run("spool="+spool, func(b *testing.B) {
			s := setting{PKI: writePKI(b), Spool: spool, Spooled: 8 << 30}
			calm, busy := startSteady(b, s), startSteady(b, s)
			busy.refused.ask(order{Do: "mood", Mood: refuses, Count: 1000})
			begun := make(chan struct{})
			go func() {
				defer close(begun)
				for i := range 50 {
					time.Sleep(10 * time.Millisecond)
					busy.trouble.ask(order{Do: "mood", Mood: fails, Count: 1})
					if i == 25 {
						busy.trouble.ask(order{Do: "mood", Mood: fails, Count: 1000, One: true})
						busy.trouble.ask(order{Do: "mood", Mood: throttles, Count: 100_000, One: true})
					}
				}
			}()
			busy.second()
			<-begun
			var c compared
			for b.Loop() {
				c.second(calm, busy)
			}
			c.report(b)
			now := busy.counts()
			b.ReportMetric(float64(now.Waiting), "waiting")
			b.ReportMetric(float64(now.GivenUp), "given-up")
		})
	}
}

// BenchmarkManyDevices measures how long notifications take while APNs answers 429, once
// each, for 100,000 devices of their app (with -long 1,000,000), beginning when the first of
// those arrive. Then as many come for which it answers 429 every time. When a quarter of
// them wait, the gateway is killed and another is started: restart-ms is the time from its
// start to its first delivery.
func BenchmarkManyDevices(b *testing.B) {
	n := 100_000
	if *long {
		n = 1_000_000
	}
	for _, spool := range []string{"overflow", "always"} {
		b.Run("spool="+spool, func(b *testing.B) {
			s := setting{PKI: writePKI(b), Spool: spool, Spooled: 8 << 30, Topics: true}
			calm := startSteady(b, s)
			s.Dir = b.TempDir()
			busy := startSteady(b, s)
			done := make(chan struct{})
			go func() {
				defer close(done)
				busy.trouble.ask(order{Do: "mood", Mood: once, Count: n, Rate: throttledRate})
			}()
			var c compared
			most := 0
			for b.Loop() {
				c.second(calm, busy)
				most = max(most, busy.counts().Waiting)
			}
			<-done
			c.report(b)
			b.ReportMetric(float64(most), "waiting-most")
			busy.trouble.tell(order{Do: "mood", Mood: throttles, Count: n}) // without waiting for the answer
			busy.gateway.ask(order{Do: "queued", Count: n / 4})
			after := killed(b, busy.gateway, s)
			b.ReportMetric(after.delivered, "restart-ms")
			b.ReportMetric(after.anonymous, "restart-RssAnon-MiB")
		})
	}
}

// restarted has the measurements of a gateway that was started on what another has left.
type restarted struct {
	delivered float64 // milliseconds from its start to its first delivery
	anonymous float64 // peak of anonymous memory in MiB, in the first second after it listens
}

// killed kills a gateway and starts another on what it has left, in front of an APNs
// that accepts everything.
func killed(b *testing.B, gateway *child, s setting) restarted {
	b.Helper()
	gateway.kill()
	apns := startChild(b, "apns", setting{PKI: s.PKI, Calm: true})
	s.Target = apns.address
	start := time.Now()
	next := startChild(b, "gateway", s)
	used := next.ask(order{Do: "anonymous", Count: 1000}).Usage.Resident
	var first time.Time
	if err := await(func() bool {
		at := apns.ask(order{Do: "delays"}).First
		first = time.Unix(0, at)
		return at > 0
	}); err != nil {
		b.Fatal(err)
	}
	defer next.kill()
	return restarted{float64(first.Sub(start).Microseconds()) / 1000, float64(used) / (1 << 20)}
}

// nowhere is an address without an APNs.
const nowhere = "127.0.0.1:1"

// BenchmarkBacklog lets a gateway take notifications while there is no APNs, kills it,
// and starts another on what it has left. One op is all of that.
func BenchmarkBacklog(b *testing.B) {
	counts := []int{1_000_000}
	if *long {
		counts = append(counts, 10_000_000)
	}
	for _, n := range counts {
		b.Run(fmt.Sprintf("waiting=%d", n), func(b *testing.B) {
			var speed, cpu, delivered, anonymous []float64
			for b.Loop() {
				s := setting{PKI: writePKI(b), Dir: b.TempDir(), Target: nowhere, Spooled: 8 << 30}
				r := startRelay(b, "gateway", s, 10)
				taken := measure(r.gateway, n, func() {
					r.providers.ask(order{Do: "send", Count: n})
					r.gateway.ask(order{Do: "stored", Count: n})
				})
				after := killed(b, r.gateway, s)
				speed, cpu = append(speed, taken.speed), append(cpu, taken.cpu)
				delivered, anonymous = append(delivered, after.delivered), append(anonymous, after.anonymous)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(speed), "taken/s")
			b.ReportMetric(median(cpu), "cpu-µs/notification")
			b.ReportMetric(median(delivered), "restart-ms")
			b.ReportMetric(median(anonymous), "RssAnon-MiB")
		})
	}
}

// BenchmarkQueues fills the queues of 100,000 devices on disk, kills the gateway, and
// starts another on what it has left. One op is all of that.
func BenchmarkQueues(b *testing.B) {
	const n = 100_000
	var delivered, anonymous []float64
	for b.Loop() {
		s := setting{PKI: writePKI(b), Dir: b.TempDir()}
		s.Target = startChild(b, "apns", setting{PKI: s.PKI}).address
		r := startRelay(b, "gateway", s, 10)
		r.providers.ask(order{Do: "mood", Mood: throttles, Count: n})
		r.gateway.ask(order{Do: "queued", Count: n})
		after := killed(b, r.gateway, s)
		delivered, anonymous = append(delivered, after.delivered), append(anonymous, after.anonymous)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(delivered), "restart-ms")
	b.ReportMetric(median(anonymous), "RssAnon-MiB")
}
