package bridge

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/rs/zerolog"

	"apnsbridge/bridge/apnssim"
)

// BenchmarkUpstream takes records over an upstream to a simulator in the same
// process, which has its part in all figures. 2,000 are always under way, as of
// two busy providers.
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
	credential, err := NewTokenCredential(pki().TokenKey, "ABC123DEFG", "DEF123GHIJ")
	if err != nil {
		b.Fatal(err)
	}
	conf := App{Name: "mail", Topic: topic, Endpoint: sim.URL(), EndpointCA: pki().Pool(), Credential: credential}
	br, err := New(Config{Apps: []App{conf}, Feedback: new(list), Log: zerolog.Nop()})
	if err != nil {
		b.Fatal(err)
	}
	defer br.Close()
	s, err := br.Open(new(recorder), Origin{App: "mail"})
	if err != nil {
		b.Fatal(err)
	}

	const underWay = 2000
	var begun, ended atomic.Int64
	done := make(chan struct{})
	var u upstream
	total := int64(b.N)
	u = newPool(br, conf, Production, credential.bearer(br.now), func(r *record, v verdict) {
		if v.class != accepted {
			panic(fmt.Sprint(v))
		}
		if ended.Add(1) == total {
			close(done)
		}
		if begun.Add(1) <= total {
			u.Send(r)
		}
	})
	defer u.Close()
	all := make([]*record, min(underWay, total))
	for i := range all {
		n := note(deviceToken(goodDevice, i), uint32(i), `{"aps":{"alert":"Someone has sent you a message","badge":3,"sound":"default"}}`)
		all[i] = newRecord(s, n)
		s.address(all[i], n, br.now())
	}
	begun.Store(int64(len(all)))
	b.ReportAllocs()
	b.ResetTimer()
	for _, r := range all {
		u.Send(r)
	}
	<-done
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "notifications/s")
}
