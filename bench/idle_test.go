package bench

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"testing"
)

// idleConnections is how many are open at once.
const idleConnections = 8000

// BenchmarkIdle tells how much memory a TLS connection costs that has sent a
// notification and is silent now. One op is the opening of all connections.
func BenchmarkIdle(b *testing.B) {
	if _, err := os.Stat("/proc/self/statm"); errors.Is(err, fs.ErrNotExist) {
		b.Skip("there is no /proc that tells how much memory a process has")
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Max < idleConnections+500 {
		b.Skipf("%d descriptors are too few for %d connections (ulimit -Hn)", limit.Max, idleConnections)
	}
	identity := writePKI(b)
	each := make(map[string]float64)
	for _, name := range []string{"listener", "gateway"} {
		b.Run(name, func(b *testing.B) {
			var all []float64
			for b.Loop() {
				apns := startChild(b, "apns", setting{PKI: identity})
				r := startRelay(b, name, identity, apns.address, 100)
				r.send(1000) // what is needed once is there
				before := r.gateway.ask(order{Do: "resident"}).Usage
				r.providers.ask(order{Do: "dial", Count: idleConnections})
				r.send(idleConnections + 100)
				used := r.gateway.ask(order{Do: "resident"}).Usage.since(before)
				all = append(all, float64(used.Resident)/idleConnections/1024)
			}
			each[name] = median(all)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(each[name], "KiB/connection")
			if name == "gateway" && each["listener"] > 0 {
				b.ReportMetric(each["gateway"]/each["listener"], "memory-of-listener")
			}
		})
	}
}
