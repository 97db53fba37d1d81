package page

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
	"time"
)

// series is a line or an area of a plot. Its class has the colour.
type series struct {
	name, class string
	values      []float64
}

// plot is drawn as SVG. The y axis begins at 0.
type plot struct {
	title   string
	areas   []series // on top of one another
	lines   []series
	right   *series // a line with an axis of its own
	left    func(float64) string
	rightAs func(float64) string
	span    time.Duration
}

// The measures of a plot, in the units of its viewBox.
const (
	plotWidth, plotHeight    = 600.0, 170.0
	marginX, marginTop, base = 52.0, 8.0, 148.0
)

// draw returns the SVG. All texts in it are the package's own or numbers.
func (p plot) draw() template.HTML {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %g %g" role="img" aria-label="%s">`, plotWidth, plotHeight,
		template.HTMLEscapeString(p.spoken()))
	top := nice(p.most())
	for _, part := range []float64{0, 0.5, 1} {
		y := yOf(part)
		fmt.Fprintf(&b, `<line class="grid" x1="%g" y1="%.1f" x2="%g" y2="%.1f"/>`+
			`<text class="axis" x="%g" y="%.1f" text-anchor="end">%s</text>`,
			marginX, y, plotWidth-marginX, y, marginX-5, y+4, template.HTMLEscapeString(p.left(part*top)))
	}
	p.drawAreas(&b, top)
	for _, s := range p.lines {
		drawLine(&b, s, top)
	}
	if p.right != nil {
		most := nice(highest(p.right.values))
		drawLine(&b, *p.right, most)
		fmt.Fprintf(&b, `<text class="axis %s" x="%g" y="%.1f">%s</text>`, p.right.class, plotWidth-marginX+5, yOf(1)+4,
			template.HTMLEscapeString(p.rightAs(most)))
	}
	anchor := "start" // the first would stand in the y axis' 0
	for i, text := range [...]string{ago(p.span), ago(p.span / 2), "now"} {
		part := float64(i) / 2
		fmt.Fprintf(&b, `<text class="axis" x="%.1f" y="%g" text-anchor="%s">%s</text>`, marginX+part*(plotWidth-2*marginX),
			base+16, anchor, text)
		anchor = "middle"
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String())
}

// most is the highest value of the left axis.
func (p plot) most() (most float64) {
	for _, s := range p.lines {
		most = max(most, highest(s.values))
	}
	for i := range p.length() {
		sum := 0.0
		for _, s := range p.areas {
			sum += s.values[i]
		}
		most = max(most, sum)
	}
	return most
}

func (p plot) length() int {
	if len(p.areas) == 0 {
		return 0
	}
	return len(p.areas[0].values)
}

// drawAreas draws the areas, each on top of those before it.
func (p plot) drawAreas(b *strings.Builder, top float64) {
	n := p.length()
	below := make([]float64, n)
	for _, s := range p.areas {
		if highest(s.values) == 0 {
			continue
		}
		fmt.Fprintf(b, `<polygon class="%s" points="`, s.class)
		for i, v := range s.values {
			writePoint(b, xOf(i, n), yOf((below[i]+v)/top))
		}
		for i := n - 1; i >= 0; i-- {
			writePoint(b, xOf(i, n), yOf(below[i]/top))
		}
		b.WriteString(`"/>`)
		for i, v := range s.values {
			below[i] += v
		}
	}
}

// drawLine leaves out what is 0: there was nothing to measure.
func drawLine(b *strings.Builder, s series, top float64) {
	n, open := len(s.values), false
	for i, v := range s.values {
		switch {
		case v == 0:
			if open {
				b.WriteString(`"/>`)
			}
			open = false
			continue
		case !open:
			class := s.class
			if i == n-1 || s.values[i+1] == 0 { // a dot, which a line's width would hide
				class += " lone"
			}
			fmt.Fprintf(b, `<polyline class="%s" points="`, class)
			if class != s.class {
				writePoint(b, xOf(i, n)-1, yOf(v/top))
			}
			open = true
		}
		writePoint(b, xOf(i, n), yOf(v/top))
	}
	if open {
		b.WriteString(`"/>`)
	}
}

// writePoint writes one of the thousands of points of a page.
func writePoint(b *strings.Builder, x, y float64) {
	var room [64]byte
	text := append(strconv.AppendFloat(room[:0], x, 'f', 1, 64), ',')
	b.Write(append(strconv.AppendFloat(text, y, 'f', 1, 64), ' '))
}

func xOf(i, n int) float64     { return marginX + (plotWidth-2*marginX)*float64(i)/float64(max(n-1, 1)) }
func yOf(part float64) float64 { return base - (base-marginTop)*part }
func highest(v []float64) (most float64) {
	for _, x := range v {
		most = max(most, x)
	}
	return most
}

// nice rounds up to 1, 2 or 5 times a power of ten.
func nice(most float64) float64 {
	if most <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(most)))
	for _, step := range []float64{1, 2, 5} {
		if most <= step*power {
			return step * power
		}
	}
	return 10 * power
}

// spoken is the plot for those who do not see it: its title and latest values.
func (p plot) spoken() string {
	text := p.title
	for _, s := range append(append([]series(nil), p.areas...), p.lines...) {
		if len(s.values) > 0 {
			text += fmt.Sprintf("; %s now %s", s.name, p.left(s.values[len(s.values)-1]))
		}
	}
	return text
}

func ago(d time.Duration) string {
	if d >= 2*time.Hour {
		return fmt.Sprintf("%.0f h ago", d.Hours())
	}
	return fmt.Sprintf("%.0f min ago", d.Minutes())
}

// Plot is a plot with its legend.
type Plot struct {
	Title  string
	SVG    template.HTML
	Legend []Key
}

// Key is a line of a legend: the colour's class, the name, and the latest value.
type Key struct{ Class, Name, Value string }

func (p plot) finish() Plot {
	done := Plot{Title: p.title, SVG: p.draw()}
	add := func(s series, format func(float64) string) {
		if len(s.values) == 0 || highest(s.values) == 0 {
			return
		}
		// The last step has only begun: what is whole is the one before.
		last := s.values[len(s.values)-1]
		if len(s.values) > 1 && last == 0 {
			last = s.values[len(s.values)-2]
		}
		done.Legend = append(done.Legend, Key{s.class, s.name, format(last)})
	}
	for _, s := range append(append([]series(nil), p.areas...), p.lines...) {
		add(s, p.left)
	}
	if p.right != nil {
		add(*p.right, p.rightAs)
	}
	return done
}

func asCount(v float64) string { return Number(int64(math.Round(v))) }

func asRate(v float64) string {
	if v < 10 {
		return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0")
	}
	return asCount(v)
}
