package bench

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"apnsbridge/cmd/apnsbridge/history"
	"apnsbridge/cmd/apnsbridge/page"
)

// busyFacts returns the facts of a gateway that the given number of apps have kept busy for a day.
func busyFacts(apps int) *page.Facts {
	f := &page.Facts{Ready: true, State: "ready", Now: time.Unix(1_800_000_000, 0)}
	for i := range 360 {
		p := history.Point{P50: time.Duration(i%7+1) * time.Millisecond, P99: time.Duration(i%50+10) * time.Millisecond,
			Waiting: int32(i % 100), Oldest: time.Duration(i%9) * time.Second}
		for j := range p.Outcomes {
			p.Outcomes[j] = uint32(i * (j + 1) * 77)
		}
		for j := range p.TLS {
			p.TLS[j] = int32(100*(j+1) + i%10)
		}
		f.Hour = append(f.Hour, p)
	}
	f.Day = f.Hour
	for i := range apps {
		app := page.App{Name: fmt.Sprintf("further%d", i), Topic: topic, Level: page.Good, State: "serves", Taken: 100_000,
			Accepted: 99_000}
		for j := range 60 {
			app.Past = append(app.Past, history.AppPoint{Accepted: uint32(j * 100), Failed: uint32(j)})
		}
		f.Apps = append(f.Apps, app)
	}
	return f
}

// drawOnce draws the page and returns its size.
func drawOnce(f *page.Facts) int {
	w := &reader{header: make(http.Header)}
	page.WriteOverview(w, f, nil)
	return w.size
}

// BenchmarkPage draws the operator's page of a gateway with many busy apps, once an op.
func BenchmarkPage(b *testing.B) {
	for _, apps := range []int{1, 100, 500} {
		b.Run(fmt.Sprintf("apps=%d", apps), func(b *testing.B) {
			b.ReportAllocs()
			f, size := busyFacts(apps), 0
			for b.Loop() {
				size = drawOnce(f)
			}
			b.ReportMetric(float64(size)/1024, "KiB")
		})
	}
}
