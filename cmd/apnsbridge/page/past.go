package page

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"

	"apnsbridge/cmd/apnsbridge/history"
)

// OutcomeNames and TLSNames name what points are made of.
var (
	OutcomeNames = [history.Outcomes]string{"accepted", "bad token", "app gone", "refused", "given up or expired"}
	TLSNames     = [history.TLSVersions]string{"TLS 1.0", "TLS 1.1", "TLS 1.2", "TLS 1.3", "without TLS"}
)

// plots draws the four of the gateway, whose points are step apart.
func plots(points []history.Point, step time.Duration) []Plot {
	column := func(value func(*history.Point) float64) []float64 {
		all := make([]float64, len(points))
		for i := range points {
			all[i] = value(&points[i])
		}
		return all
	}
	span := step * time.Duration(len(points))
	seconds := func(d time.Duration) float64 { return d.Seconds() }
	asTime := func(v float64) string {
		if v == 0 {
			return "0"
		}
		return duration(time.Duration(v * 1e9))
	}
	rate := plot{title: "Notifications a second", span: span, left: asRate}
	for i, name := range OutcomeNames {
		rate.areas = append(rate.areas, series{name, fmt.Sprintf("c%d", i),
			column(func(p *history.Point) float64 { return float64(p.Outcomes[i]) / step.Seconds() })})
	}
	verdict := plot{title: "From taken to APNs' verdict", span: span, left: asTime, lines: []series{
		{"p99", "c1", column(func(p *history.Point) float64 { return seconds(p.P99) })},
		{"p50", "c0", column(func(p *history.Point) float64 { return seconds(p.P50) })},
	}}
	waiting := plot{title: "Waiting", span: span, left: asRate, rightAs: asTime,
		areas: []series{{"notifications", "c2", column(func(p *history.Point) float64 { return float64(p.Waiting) })}},
		right: &series{"age of the oldest", "c1", column(func(p *history.Point) float64 { return seconds(p.Oldest) })}}
	connections := plot{title: "Provider connections", span: span, left: asRate}
	for i, name := range TLSNames {
		connections.areas = append(connections.areas, series{name, fmt.Sprintf("c%d", i),
			column(func(p *history.Point) float64 { return float64(p.TLS[i]) })})
	}
	return []Plot{rate.finish(), verdict.finish(), waiting.finish(), connections.finish()}
}

// spark draws an app's last hour in a line's height.
func spark(past []history.AppPoint) template.HTML {
	if len(past) == 0 {
		return ""
	}
	accepted, failed := make([]float64, len(past)), make([]float64, len(past))
	most := 1.0
	for i, p := range past {
		accepted[i], failed[i] = float64(p.Accepted), float64(p.Failed)
		most = max(most, accepted[i]+failed[i])
	}
	const width, height = 120.0, 24.0
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="spark" viewBox="0 0 %g %g" aria-hidden="true">`, width, height)
	bar := width / float64(len(past))
	bars := func(class string, of func(i int) (top, bottom float64)) {
		path := make([]byte, 0, 32*len(past))
		for i := range past {
			if top, bottom := of(i); bottom > top {
				path = strconv.AppendFloat(append(path, 'M'), float64(i)*bar, 'f', 1, 64)
				path = strconv.AppendFloat(append(path, ' '), top, 'f', 1, 64)
				path = strconv.AppendFloat(append(path, 'h'), bar, 'f', 1, 64)
				path = strconv.AppendFloat(append(path, 'V'), bottom, 'f', 1, 64)
				path = append(strconv.AppendFloat(append(path, 'h'), -bar, 'f', 1, 64), 'z')
			}
		}
		if len(path) > 0 {
			fmt.Fprintf(&b, `<path class="%s" d="%s"/>`, class, path)
		}
	}
	bars("c0", func(i int) (top, bottom float64) { return height * (1 - accepted[i]/most), height })
	bars("c1", func(i int) (top, bottom float64) {
		bottom = height * (1 - accepted[i]/most)
		return bottom - failed[i]/most*height, bottom
	})
	b.WriteString(`</svg>`)
	return template.HTML(b.String())
}
