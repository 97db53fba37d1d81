package metrics

import (
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	durations "apnsbridge/bridge/histogram"
)

// text writes families in Prometheus' text format as they are read, without the data
// model between: with a hundred apps in use that is 5,000 lines each second. What it
// writes is what expfmt would, to the byte.
//
// https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
type text struct {
	to     io.Writer
	err    error // of to: what follows is not written
	lines  []byte
	labels []byte // of the present value, without braces
	begun  bool   // the present family
}

// flushAt is how much is written at a time, about.
const flushAt = 32 << 10

// writeText writes all families that have something to say, and others behind them. What
// cannot be written has no reader any more.
func (m *Metrics) writeText(to io.Writer, others []*dto.MetricFamily) {
	t := &text{to: to, lines: make([]byte, 0, flushAt+flushAt/8)}
	s := viewOf(m.read())
	for _, f := range sorted {
		t.begun = false
		f.read(s, sink{family: f, text: t})
	}
	t.flush()
	for _, f := range others {
		if t.err == nil {
			_, t.err = expfmt.MetricFamilyToText(to, f)
		}
	}
}

// sorted are all families by their names.
var sorted = func() (all []*family) {
	for _, g := range groups {
		for i := range g.families {
			all = append(all, &g.families[i])
		}
	}
	slices.SortFunc(all, func(a, b *family) int { return strings.Compare(a.name, b.name) })
	return all
}()

func (t *text) flush() {
	if t.err == nil {
		_, t.err = t.to.Write(t.lines)
	}
	t.lines = t.lines[:0]
}

// begin writes what stands before a family's first value, and has labels ready.
func (t *text) begin(f *family, values []string) {
	if !t.begun {
		t.begun = true
		t.lines = append(append(append(t.lines, "# HELP "...), f.name...), ' ')
		t.lines = append(helpEscapes.appendTo(t.lines, f.help), "\n# TYPE "...)
		t.lines = append(append(append(t.lines, f.name...), ' '), f.kind.String()...)
		t.lines = append(t.lines, '\n')
	}
	t.labels = t.labels[:0]
	for _, i := range f.order {
		if len(t.labels) > 0 {
			t.labels = append(t.labels, ',')
		}
		t.labels = append(append(t.labels, f.labels[i]...), `="`...)
		t.labels = append(valueEscapes.appendTo(t.labels, values[i]), '"')
	}
}

// line writes a value of the family under the present labels, and le if it is not empty.
func (t *text) line(f *family, suffix, le string, value float64) {
	t.lines = append(append(t.lines, f.name...), suffix...)
	if len(t.labels) > 0 || le != "" {
		t.lines = append(append(t.lines, '{'), t.labels...)
		if le != "" {
			if len(t.labels) > 0 {
				t.lines = append(t.lines, ',')
			}
			t.lines = append(append(append(t.lines, `le="`...), le...), '"')
		}
		t.lines = append(t.lines, '}')
	}
	if t.lines = append(appendFloat(append(t.lines, ' '), value), '\n'); len(t.lines) >= flushAt {
		t.flush()
	}
}

func (t *text) set(f *family, value float64, labels []string) {
	t.begin(f, labels)
	t.line(f, "", "", value)
}

func (t *text) observe(f *family, h *histogram, labels []string) {
	t.begin(f, labels)
	for i, n := range h.Buckets() {
		t.line(f, "_bucket", boundTexts[i], float64(n))
	}
	count := float64(h.Count())
	t.line(f, "_bucket", "+Inf", count)
	t.line(f, "_sum", "", h.Sum().Seconds())
	t.line(f, "_count", "", count)
}

// boundTexts are bounds as their label has them.
var boundTexts = func() (all [len(durations.Classic)]string) {
	for i, bound := range bounds {
		all[i] = string(appendFloat(nil, bound))
	}
	return all
}()

// appendFloat writes a number: whole ones of few digits, as nearly all are, by the
// shorter way.
func appendFloat(to []byte, f float64) []byte {
	switch {
	case f == math.Trunc(f) && math.Abs(f) < 1e6:
		return strconv.AppendInt(to, int64(f), 10)
	case math.IsInf(f, 1):
		return append(to, "+Inf"...)
	}
	return strconv.AppendFloat(to, f, 'g', -1, 64)
}

// escapes are characters that a text may not have, and what stands for them.
type escapes string

// A help may have quotes.
const (
	helpEscapes  escapes = "\\\n"
	valueEscapes escapes = "\\\n\""
)

func (e escapes) appendTo(to []byte, value string) []byte {
	if !strings.ContainsAny(value, string(e)) {
		return append(to, value...)
	}
	for i := range len(value) {
		switch c := value[i]; {
		case strings.IndexByte(string(e), c) < 0:
			to = append(to, c)
		case c == '\n':
			to = append(to, `\n`...)
		default:
			to = append(to, '\\', c)
		}
	}
	return to
}
