package upstream

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/bridge/apnssim"
)

// BenchmarkUpstream sends pushes over an Upstream to a simulator in the same process, whose cost
// is part of all figures. 2,000 are always under way, as from two busy providers.
func BenchmarkUpstream(b *testing.B) {
	certificate, err := pki().Server.TLS()
	if err != nil {
		b.Fatal(err)
	}
	sim, err := apnssim.Start(apnssim.Config{Certificate: certificate, Keep: -1, Remember: 1})
	if err != nil {
		b.Fatal(err)
	}
	defer sim.Close()
	credential := tokenCredential(b)

	const underWay = 2000
	var begun, ended atomic.Int64
	done := make(chan struct{})
	var u *Upstream
	total := int64(b.N)
	u = Open(b.Context(), Config{
		Endpoint: endpoint(sim), Credential: credential, Log: zerolog.Nop(), Begin: begin,
		Answered: func(p *Push, v Verdict, _ time.Time) {
			if v.Class != Accepted {
				panic(fmt.Sprint(v))
			}
			if ended.Add(1) == total {
				close(done)
			}
			if begun.Add(1) <= total {
				u.Send(p)
			}
		},
	})
	defer u.Close()
	all := make([]*Push, min(underWay, total))
	for i := range all {
		all[i] = note(deviceToken(goodDevice, i), `{"aps":{"alert":"Someone has sent you a message","badge":3,"sound":"default"}}`)
	}
	begun.Store(int64(len(all)))
	b.ReportAllocs()
	b.ResetTimer()
	for _, p := range all {
		u.Send(p)
	}
	<-done
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "notifications/s")
}
