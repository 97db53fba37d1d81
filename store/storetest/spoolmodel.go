package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"apnsbridge/store"
)

// SpoolPlace is where one test's spool lives. A new place is empty.
type SpoolPlace struct {
	Open Place[store.Spool]         // closes the open spool first
	Kill func(Settings) store.Spool // opens what is on disk now, as after the process was killed
}

// row is a record in the naive model.
type row struct {
	store.SpoolRecord
	line  store.Line
	hand  bool
	limbo bool // done, but perhaps not durably
}

// spoolModel is a naive model of a store.Spool, together with the spool itself.
type spoolModel struct {
	*rapid.T
	place SpoolPlace
	s     store.Spool
	rows  map[uint64]*row
	last  uint64
	n     int
}

const modelBytes = 1 << 20 // bound of the spool

var modelLines = []store.Line{
	{App: "mail", Environment: "production"},
	{App: "mail", Environment: "production", Topic: "com.example.other"},
	{App: "news", Environment: "sandbox"},
}

// randomSpool compares a spool with the model over random histories.
func randomSpool(t *testing.T, place func() SpoolPlace) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &spoolModel{T: rt, place: place(), rows: make(map[uint64]*row)}
		m.s = m.place.Open(Settings{Spool: modelBytes})
		rt.Repeat(map[string]func(*rapid.T){
			"put":    func(rt *rapid.T) { m.T = rt; m.put() },
			"take":   func(rt *rapid.T) { m.T = rt; m.take() },
			"takeOf": func(rt *rapid.T) { m.T = rt; m.takeOf() },
			"sample": func(rt *rapid.T) { m.T = rt; m.sample() },
			"return": func(rt *rapid.T) { m.T = rt; m.end(false) },
			"done":   func(rt *rapid.T) { m.T = rt; m.end(true) },
			"flush": func(rt *rapid.T) {
				must(rt, m.s.Flush(ctx))
				m.forget()
			},
			"open again": func(rt *rapid.T) {
				m.T = rt
				m.s = m.place.Open(Settings{Spool: modelBytes})
				m.forget()
				m.letGo()
			},
			"kill": func(rt *rapid.T) {
				m.T = rt
				m.s = m.place.Kill(Settings{Spool: modelBytes})
				m.letGo()
				m.afterKill()
			},
			"": func(rt *rapid.T) { m.T = rt; m.check() },
		})
	})
}

func (m *spoolModel) line() store.Line { return rapid.SampledFrom(modelLines).Draw(m.T, "line") }
func (m *spoolModel) token() []byte {
	return []byte(rapid.SampledFrom([]string{"a", "b", "ab", "c", "\x00", ""}).Draw(m.T, "token"))
}

// list returns the rows for which is returns true, oldest first.
func (m *spoolModel) list(is func(*row) bool) (list []*row) {
	for _, id := range slices.Sorted(maps.Keys(m.rows)) {
		if r := m.rows[id]; !r.limbo && is(r) {
			list = append(list, r)
		}
	}
	return list
}

// some draws a part of list.
func (m *spoolModel) some(list []*row) []*row {
	if len(list) == 0 {
		return nil
	}
	from := rapid.IntRange(0, len(list)-1).Draw(m.T, "from")
	to := rapid.IntRange(from+1, len(list)).Draw(m.T, "to")
	return list[from:to]
}

func (m *spoolModel) put() {
	var batches []store.SpoolBatch
	for range rapid.IntRange(1, 3).Draw(m.T, "batches") {
		b := store.SpoolBatch{Line: m.line()}
		if slices.ContainsFunc(batches, func(o store.SpoolBatch) bool { return o.Line == b.Line }) {
			continue // a record must not be moved twice
		}
		for range rapid.SampledFrom([]int{0, 1, 3, 40}).Draw(m.T, "new") {
			m.n++
			size := rapid.SampledFrom([]int{0, 10, 300, 4000}).Draw(m.T, "size")
			r := store.SpoolRecord{Body: fmt.Appendf(nil, "%d %s", m.n, bytes.Repeat([]byte{'x'}, size))}
			r.Token, r.Queued = m.token(), rapid.IntRange(0, 3).Draw(m.T, "queued") == 0
			r.Flags[0] = byte(m.n)
			b.Records = append(b.Records, r)
		}
		if rapid.Bool().Draw(m.T, "old") {
			for _, r := range m.some(m.list(func(r *row) bool { return r.hand && r.line == b.Line })) {
				old := r.SpoolRecord
				if old.Flags[1]++; r.Queued && rapid.Bool().Draw(m.T, "without a body") {
					old.Body = nil
				}
				old.Queued = true
				b.Records = append(b.Records, old)
			}
		}
		batches = append(batches, b)
	}
	if err := m.s.Put(ctx, batches...); errors.Is(err, store.ErrSpoolFull) || errors.Is(err, store.ErrDeviceFull) {
		if got := m.s.Stats().Bytes; errors.Is(err, store.ErrSpoolFull) && got < modelBytes*3/4 {
			m.Fatalf("the spool is full with only %d bytes", got)
		}
		return
	} else if err != nil {
		m.Fatal(err)
	}
	for _, b := range batches {
		for _, r := range b.Records {
			if old := m.rows[r.ID]; old != nil {
				old.Queued, old.Flags = true, r.Flags
				continue
			}
			if r.ID <= m.last {
				m.Fatalf("ID %d came after %d", r.ID, m.last)
			}
			m.last = r.ID
			if !r.Queued {
				r.Flags = [8]byte{}
			}
			m.rows[r.ID] = &row{SpoolRecord: r, line: b.Line, hand: true}
		}
	}
}

// got compares what was read with rows, which are checked out from now on.
func (m *spoolModel) got(what string, got []store.SpoolRecord, want []*row) {
	m.Helper()
	if len(got) != len(want) {
		m.Fatalf("%s: got %d records, want %d", what, len(got), len(want))
	}
	for i, r := range want {
		if g := got[i]; g.ID != r.ID || g.Broken != nil || !sameRecord(g, r.SpoolRecord) {
			m.Fatalf("%s: got %.200v as record %d, want %.200v", what, g, i, r.SpoolRecord)
		}
		r.hand = true
	}
}

func sameRecord(a, b store.SpoolRecord) bool {
	return a.ID == b.ID && a.Queued == b.Queued && bytes.Equal(a.Token, b.Token) && a.Expires == b.Expires &&
		a.Flags == b.Flags && bytes.Equal(a.Body, b.Body)
}

func (m *spoolModel) take() {
	l, limit := m.line(), rapid.SampledFrom([]int{1, 2, 50, 5000}).Draw(m.T, "limit")
	got, err := m.s.Take(ctx, l, limit, unlimited)
	must(m.T, err)
	want := m.list(func(r *row) bool { return r.line == l && !r.Queued && !r.hand })
	m.got("log", got, want[:min(limit, len(want))])
}

func (m *spoolModel) takeOf() {
	l, token, limit := m.line(), m.token(), rapid.SampledFrom([]int{1, 2, 500}).Draw(m.T, "limit")
	got, err := m.s.TakeOf(ctx, l, token, limit, unlimited)
	must(m.T, err)
	want := m.list(func(r *row) bool { return r.line == l && r.Queued && !r.hand && bytes.Equal(r.Token, token) })
	m.got("queue", got, want[:min(limit, len(want))])
}

func (m *spoolModel) sample() {
	l, not := m.line(), m.token()
	got, err := m.s.Sample(ctx, l, 2, func(token []byte) bool { return !bytes.Equal(token, not) })
	must(m.T, err)
	first := make(map[string]*row)
	free := 0
	for _, r := range m.list(func(r *row) bool { return r.line == l && !r.Queued }) {
		if first[string(r.Token)] == nil {
			first[string(r.Token)] = r
			if !r.hand && !bytes.Equal(r.Token, not) {
				free++
			}
		}
	}
	if len(got) != min(2, free) {
		m.Fatalf("got %d samples, want %d", len(got), min(2, free))
	}
	for _, r := range got {
		want := first[string(r.Token)]
		if want == nil || want.hand || bytes.Equal(r.Token, not) {
			m.Fatalf("got sample %d, which is not the first record of a free device", r.ID)
		}
		m.got("sample", []store.SpoolRecord{r}, []*row{want})
	}
}

func (m *spoolModel) end(done bool) {
	l := m.line()
	list := m.some(m.list(func(r *row) bool { return r.line == l && r.hand }))
	var keys []store.SpoolKey
	for _, r := range list {
		keys = append(keys, r.SpoolKey)
		r.hand, r.limbo = false, done
	}
	if rapid.Bool().Draw(m.T, "backward") {
		slices.Reverse(keys)
	}
	if done {
		m.s.Done(l, keys...)
	} else {
		m.s.Return(l, keys...)
	}
}
