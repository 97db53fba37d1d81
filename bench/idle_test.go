package bench

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"testing"
)

// idleConnections is how many connections are open at once.
const idleConnections = 8000

// idleRate is how many notifications all connections together send a second. It is
// low because what is under way at a time is not to be measured.
const idleRate = 4000

// BenchmarkIdle measures the memory of a TLS connection that has sent a notification
// and is silent now. One op opens all connections. What crypto/tls keeps depends on
// whether the provider had a certificate.
func BenchmarkIdle(b *testing.B) {
	if _, err := os.Stat("/proc/self/statm"); errors.Is(err, fs.ErrNotExist) {
		b.Skip("there is no /proc to read a process's memory from")
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Max < idleConnections+500 {
		b.Skipf("%d descriptors are too few for %d connections (ulimit -Hn)", limit.Max, idleConnections)
	}
	identity := writePKI(b)
	for name, anonymous := range map[string]bool{"certificate": false, "no-certificate": true} {
		var listener float64
		b.Run(name+"/listener", func(b *testing.B) {
			listener = measureIdle(b, "listener", setting{PKI: identity, Anonymous: anonymous})
		})
		b.Run(name+"/gateway", func(b *testing.B) {
			gateway := measureIdle(b, "gateway", setting{PKI: identity, Anonymous: anonymous})
			if listener > 0 {
				b.ReportMetric(gateway/listener, "memory-of-listener")
			}
		})
	}
}

func measureIdle(b *testing.B, part string, s setting) float64 {
	var all []float64
	for b.Loop() {
		s := s
		s.Target = startChild(b, "apns", s).address
		r := startRelay(b, part, s, 100)
		r.pace(2000, idleRate) // warm-up
		before := r.gateway.ask(order{Do: "resident"}).Usage
		r.providers.ask(order{Do: "dial", Count: idleConnections})
		r.pace(idleConnections+100, idleRate)
		used := r.gateway.ask(order{Do: "resident"}).Usage.since(before)
		all = append(all, float64(used.Resident)/idleConnections/1024)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(all), "KiB/connection")
	return median(all)
}
