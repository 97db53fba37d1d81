package bench

import (
	"fmt"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
)

// BenchmarkPath runs the whole path of a notification in this process: a provider's
// TLS socket, gateway, bridge, HTTP/2, and the simulator's answer. The figure
// includes all of them, and a profile shows them all.
func BenchmarkPath(b *testing.B) {
	for _, connections := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("connections=%d", connections), func(b *testing.B) {
			identity := writePKI(b)
			certificate, _, err := serverIdentity(identity)
			if err != nil {
				b.Fatal(err)
			}
			sim, err := apnssim.Start(apnssim.Config{Certificate: certificate, Keep: -1, Remember: 1})
			if err != nil {
				b.Fatal(err)
			}
			defer sim.Close()
			gateway, address := startHere(b, startGateway, setting{PKI: identity, Target: sim.Addr(), Dir: b.TempDir()})
			defer gateway.close()
			provider, _ := startHere(b, startProvider, setting{PKI: identity, Target: address})
			defer provider.close()
			do := func(p part, o order) {
				if _, err := p.do(o); err != nil {
					b.Fatal(err)
				}
			}
			do(provider, order{Do: "dial", Count: connections})
			b.ReportAllocs()
			b.ResetTimer()
			start := time.Now()
			do(provider, order{Do: "send", Count: b.N})
			do(gateway, order{Do: "accepted", Count: b.N})
			b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "notifications/s")
		})
	}
}

// startHere starts a part in this process.
func startHere(b *testing.B, start func(setting) (part, string, error), s setting) (p part, address string) {
	b.Helper()
	p, address, err := start(s)
	if err != nil {
		b.Fatal(err)
	}
	return p, address
}
