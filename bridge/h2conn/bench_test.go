package h2conn

import (
	"bytes"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
)

// The three ways share one server in the process, so its cost is in all of them.

func BenchmarkSubmit(b *testing.B) {
	address := serve(b, http.HTTP2Config{MaxConcurrentStreams: 1000}, apns)
	f := newFeeder(pushPrefix(b, "localhost"), b.N)
	b.ReportAllocs()
	b.ResetTimer()
	dial(b, address, f.config())
	f.wait(b)
	b.StopTimer()
	if f.fates[Answered] != b.N {
		b.Fatalf("fates %v of %d, errors %v", f.fates, b.N, f.errors)
	}
}

func BenchmarkRoundTripper(b *testing.B) {
	address := serve(b, http.HTTP2Config{MaxConcurrentStreams: 1000}, apns)
	c := dial(b, address, Config{})
	benchmarkRoundTrips(b, c.RoundTripper(), address)
}

func BenchmarkStockTransport(b *testing.B) {
	address := serve(b, http.HTTP2Config{MaxConcurrentStreams: 1000}, apns)
	t := stock()
	defer t.CloseIdleConnections()
	benchmarkRoundTrips(b, t, address)
}

type transport interface {
	http.RoundTripper
	CloseIdleConnections()
}

func stock() transport {
	//lint:ignore SA1019 it is what apns2 uses
	return &http2.Transport{TLSClientConfig: clientTLS()}
}

func benchmarkRoundTrips(b *testing.B, rt http.RoundTripper, address string) {
	sample := newFeeder(nil, 0).request()
	prefix := pushPrefix(b, "localhost")
	b.ReportAllocs()
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				req, err := http.NewRequest("POST", "https://"+address+samplePath, bytes.NewReader(sample.Body))
				if err != nil {
					b.Error(err)
					return
				}
				for _, f := range prefix.regular {
					req.Header[http.CanonicalHeaderKey(f.Name)] = []string{f.Value}
				}
				for _, f := range sample.Fields {
					req.Header[http.CanonicalHeaderKey(f.Name)] = []string{string(f.Value)}
				}
				resp, err := rt.RoundTrip(req)
				if err != nil {
					b.Error(err)
					return
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
	wg.Wait()
}
