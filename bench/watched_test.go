package bench

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/bridge"
	"apnsbridge/bridge/upstream"
	"apnsbridge/cmd/apnsbridge/metrics"
)

// watched watches a gateway while it works. It knows the orders "trace", of one token
// with Count 1 and of all with Count 2, and "scrape", once a second and with the page
// drawn every two seconds; Count 0 ends either. To the watcher all apps look busy.
type watched struct {
	bridge *bridge.Bridge
	read   func() *metrics.Snapshot
	stop   chan struct{} // nil: it is not scraped
}

// tracedToken is the beginning of one device's token: no other of a million devices has
// it.
const tracedToken = "00000000000000"

func (w *watched) trace(count int) error {
	for i, prefix := range []string{tracedToken, ""} {
		during := time.Duration(0)
		if count == i+1 {
			during = time.Hour
		}
		if _, err := w.bridge.Trace(app, prefix, false, during); err != nil {
			return err
		}
	}
	return nil
}

func (w *watched) scrape(count int) {
	if w.stop != nil {
		close(w.stop)
		w.stop = nil
	}
	if count == 0 {
		return
	}
	stop, facts := make(chan struct{}), busyFacts(100)
	handler := metrics.New(func() *metrics.Snapshot { return busy(w.read()) }).Handler()
	w.stop = stop
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-tick.C:
				if scrapeOnce(handler); i%2 == 0 {
					drawOnce(facts)
				}
			case <-stop:
				return
			}
		}
	}()
}

// busy makes all apps of a snapshot look as if they had had something to do.
func busy(s *metrics.Snapshot) *metrics.Snapshot {
	for name, app := range s.Bridge.Apps {
		if app.Lanes.Production.Times == nil {
			app.Lanes.Production.Taken, app.Lanes.Production.Times = 1, new(bridge.Times)
			s.Bridge.Apps[name] = app
		}
	}
	return s
}

// scrapeOnce scrapes and returns the size of the answer.
func scrapeOnce(handler http.Handler) int {
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept-Encoding", "gzip") // as Prometheus does
	w := &reader{header: make(http.Header)}
	handler.ServeHTTP(w, r)
	return w.size
}

// reader keeps only the size of an answer.
type reader struct {
	header http.Header
	size   int
}

func (r *reader) Header() http.Header { return r.header }

func (*reader) WriteHeader(int) {}

func (r *reader) Write(b []byte) (int, error) {
	r.size += len(b)
	return len(b), nil
}

// BenchmarkWatched has one op for a second of 50,000 notifications through one gateway
// with a hundred further apps, in each of four ways in turn: not watched, with one token
// traced, with all tokens traced, and with Prometheus scraping once a second and the page
// open. Its figures are medians, its ratios medians of the ratios within one turn, given
// with the least and the greatest.
func BenchmarkWatched(b *testing.B) {
	identity := writePKI(b)
	const rate = 50_000
	var apns string
	if nginx := find("nginx"); nginx != "" {
		apns = startNginx(b, nginx, identity)
	} else {
		apns = startChild(b, "apns", setting{PKI: identity}).address
	}
	r := startRelay(b, "gateway", setting{PKI: identity, Target: apns, Apps: 100}, 10)
	var ways []*way
	for _, w := range []struct {
		name          string
		trace, scrape int
	}{{"unwatched", 0, 0}, {"one-token", 1, 0}, {"all-tokens", 2, 0}, {"scraped", 0, 1}} {
		ways = append(ways, &way{name: w.name, round: func(tb testing.TB, count int) round {
			r.gateway.ask(order{Do: "trace", Count: w.trace})
			r.gateway.ask(order{Do: "scrape", Count: w.scrape})
			return measure(r.gateway, count, func() { r.pace(count, rate) })
		}})
	}
	for _, w := range ways {
		w.round(b, 2*rate)
	}
	for i := 0; b.Loop(); i++ {
		for j := range ways {
			w := ways[(i+j)%len(ways)] // each is first equally often
			w.rounds = append(w.rounds, w.round(b, 2*rate))
		}
	}
	b.ReportMetric(0, "ns/op")
	var table strings.Builder
	for _, w := range ways {
		var ratios []float64
		for i, x := range w.rounds {
			ratios = append(ratios, x.cpu/ways[0].rounds[i].cpu)
		}
		cpu, ratio := w.median(cpuOf), median(ratios)
		b.ReportMetric(cpu, w.name+"-cpu-µs/notification")
		b.ReportMetric(ratio, w.name+"-cpu-of-unwatched")
		fmt.Fprintf(&table, "\n%-10s %6.3f cpu-µs %5.2f allocs   %.3f × the CPU (%.3f to %.3f)", w.name, cpu,
			w.median(allocsOf), ratio,
			slices.Min(ratios), slices.Max(ratios))
	}
	b.Log(table.String())
}

// BenchmarkScrape is one scrape of a gateway with many apps, of which either only one
// or all have had something to do.
func BenchmarkScrape(b *testing.B) {
	credential, err := upstream.NewTokenCredential(pki().TokenKey, keyID, teamID)
	if err != nil {
		b.Fatal(err)
	}
	for _, apps := range []int{1, 100, 500} {
		br, err := bridge.New(bridge.Config{Apps: furtherApps(apps,
			bridge.App{Topic: topic, Endpoint: "https://127.0.0.1:1",
				Credentials: []bridge.Credential{{Credential: credential}}}), Log: zerolog.Nop()})
		if err != nil {
			b.Fatal(err)
		}
		defer br.Close()
		measure := func(name string, change func(*metrics.Snapshot) *metrics.Snapshot) {
			b.Run(fmt.Sprintf("apps=%d/%s", apps, name), func(b *testing.B) {
				b.ReportAllocs()
				handler := metrics.New(func() *metrics.Snapshot {
					return change(&metrics.Snapshot{Bridge: br.Stats()})
				}).Handler()
				size := 0
				for b.Loop() {
					size = scrapeOnce(handler)
				}
				b.ReportMetric(float64(size)/1024, "KiB")
			})
		}
		measure("idle", func(s *metrics.Snapshot) *metrics.Snapshot { return s })
		measure("used", busy)
	}
}

// furtherApps returns count apps that are configured like the given one.
func furtherApps(count int, like bridge.App) (all []bridge.App) {
	for i := range count {
		like.Name = fmt.Sprintf("further%d", i)
		all = append(all, like)
	}
	return all
}

// Tracing and scraping do see something of a gateway.
func TestWatched(t *testing.T) {
	credential, err := upstream.NewTokenCredential(pki().TokenKey, keyID, teamID)
	if err != nil {
		t.Fatal(err)
	}
	br, err := bridge.New(bridge.Config{Apps: []bridge.App{{Name: app, Topic: topic,
		Credentials: []bridge.Credential{{Credential: credential}}}}, Log: zerolog.New(io.Discard)})
	if err != nil {
		t.Fatal(err)
	}
	defer br.Close()
	w := &watched{bridge: br, read: func() *metrics.Snapshot { return &metrics.Snapshot{Bridge: br.Stats()} }}
	for _, count := range []int{1, 2, 0} {
		if err := w.trace(count); err != nil {
			t.Fatal(err)
		}
		w.scrape(count)
	}
	if size := scrapeOnce(metrics.New(w.read).Handler()); size < 10_000 {
		t.Errorf("a scrape has only %d bytes", size)
	}
}
