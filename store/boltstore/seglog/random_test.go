package seglog

import (
	"fmt"
	"iter"
	"maps"
	"math"
	"os"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"apnsbridge/store"
)

// kept is what the naive model knows of a record.
type kept struct {
	name    string
	body    string
	out     *Out // not nil: it is checked out
	expires bool
	doubted bool // its file was damaged: it may be lost
}

var modelNames = []string{"mail", "news\xff"}

// logModel is a naive model of a log, and the log itself.
type logModel struct {
	*rapid.T
	dir     string
	l       *Log
	tallies map[string]*Tally
	there   map[uint64]*kept
	limbo   map[uint64]*kept // ended, but not durably
	lost    map[uint64]*kept // by damage that the next process may not meet
	last    uint64
}

// Whatever is put, ended, returned, cleaned, killed, removed and damaged, in any order: each record is there,
// whole and once, until it ends, unless damage has hit it.
func TestRandomHistories(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &logModel{
			T: rt, dir: t.TempDir(), there: make(map[uint64]*kept), limbo: make(map[uint64]*kept), lost: make(map[uint64]*kept),
		}
		m.open()
		defer func() { m.l.Roll() }()
		step := func(do func()) func(*rapid.T) {
			return func(rt *rapid.T) {
				m.T = rt
				do()
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"put":    step(m.put),
			"take":   step(m.take),
			"end":    step(func() { m.let(m.end) }),
			"return": step(func() { m.let(m.giveBack) }),
			"flush":  step(m.flush),
			"clean":  step(m.clean),
			"drop":   step(func() { m.l.DropExpired() }),
			"roll":   step(func() { m.l.Roll() }),
			"kill":   step(m.kill),
			"remove": step(func() { m.harm(os.Remove) }),
			"damage": step(func() { m.harm(m.damage) }),
			"":       step(m.check),
		})
	})
}

func (m *logModel) must(err error) {
	m.Helper()
	if err != nil {
		m.Fatal(err)
	}
}

// open opens the log as the process after a kill does: nothing is checked out.
func (m *logModel) open() {
	m.tallies = make(map[string]*Tally)
	for _, k := range m.there {
		k.out = nil
	}
	var err error
	m.l, err = Open(Config{
		Dir: m.dir, Salt: 1, Now: time.Now, Segment: 1 << 10, Room: 1 << 10,
		Tally: m.tally,
		CheckedOut: func(fn func(iter.Seq[Out])) {
			fn(func(yield func(Out) bool) {
				for _, k := range m.there {
					if k.out != nil && !yield(*k.out) {
						return
					}
				}
			})
		},
		Expire: func(f Frame) bool {
			k := m.there[f.ID]
			if k == nil || k.out != nil || !m.l.Has(f.ID) {
				return false
			}
			if !k.expires {
				m.Errorf("record %d expires, though it has no expiry", f.ID)
			}
			m.tallies[k.name].Waiting.Add(-1)
			m.l.End(Out{ID: f.ID, Size: int64(f.Size), Tally: m.tallies[k.name]})
			m.limbo[f.ID] = k
			delete(m.there, f.ID)
			return true
		},
		Note: func(err error, _ int64) {
			if err != nil {
				m.Error(err)
			}
		},
	})
	m.must(err)
	if m.l.LastID() > m.last {
		m.Errorf("the last ID is %d, but only IDs up to %d were assigned", m.l.LastID(), m.last)
	}
}

func (m *logModel) tally(name string) *Tally {
	if m.tallies[name] == nil {
		m.tallies[name] = &Tally{Name: name}
	}
	return m.tallies[name]
}

func (m *logModel) put() {
	var list []store.SpoolRecord
	var names []string
	first := m.last + 1
	for range rapid.IntRange(1, 8).Draw(m.T, "records") {
		m.last += uint64(rapid.SampledFrom([]int{1, 1, 1, 2, 70}).Draw(m.T, "IDs")) // some IDs go elsewhere
		r := store.SpoolRecord{SpoolKey: store.SpoolKey{ID: m.last, Token: []byte("device")}}
		r.Body = fmt.Appendf(nil, "%d %0*d", r.ID, rapid.SampledFrom([]int{1, 100, 900}).Draw(m.T, "size"), 0)
		if rapid.IntRange(0, 4).Draw(m.T, "expires") == 0 {
			r.Expires = 1
		}
		list, names = append(list, r), append(names, rapid.SampledFrom(modelNames).Draw(m.T, "name"))
	}
	b := &Batch{First: first, Records: func(yield func(*Tally, *store.SpoolRecord) bool) {
		for i := range list {
			if !yield(m.tally(names[i]), &list[i]) {
				return
			}
		}
	}}
	for i, r := range list {
		b.Bytes += int64(FrameSize(len(names[i]), len(r.Token), len(r.Body)))
	}
	m.l.Announce(b)
	for i, r := range list {
		o := Out{ID: r.ID, Size: int64(FrameSize(len(names[i]), len(r.Token), len(r.Body))), Tally: m.tally(names[i])}
		m.there[r.ID] = &kept{name: names[i], body: string(r.Body), out: &o, expires: r.Expires != 0}
	}
	m.must(m.l.Commit(b))
}

// each reads the records of a name, in order, and fails the test if one is there that should not be.
func (m *logModel) each(name string, fn func(f *Found, k *kept)) {
	last := uint64(0)
	_, err := m.l.Each(m.tally(name), 0, math.MaxInt64, func(f *Found) bool {
		if !m.l.Has(f.ID) {
			return true
		}
		k := m.there[f.ID]
		switch r := f.Record(f.Bytes()); {
		case k == nil || f.ID <= last || string(f.Name) != name:
			m.Fatalf("record %d of %q is there, after record %d", f.ID, f.Name, last)
		case r.Broken != nil && !k.doubted, r.Broken == nil && string(r.Body) != k.body:
			m.Fatalf("record %d has the body %.30q; broken: %v", f.ID, r.Body, r.Broken)
		}
		last = f.ID
		fn(f, k)
		return true
	})
	m.must(err)
}

func (m *logModel) take() {
	n := rapid.IntRange(1, 10).Draw(m.T, "limit")
	name := rapid.SampledFrom(modelNames).Draw(m.T, "name")
	m.each(name, func(f *Found, k *kept) {
		if k.out == nil && n > 0 {
			n--
			k.out = &Out{ID: f.ID, Size: int64(f.Size), Tally: m.tally(name)}
			k.out.Tally.Waiting.Add(-1)
		}
	})
}

// let does something with some of the records that are checked out.
func (m *logModel) let(do func(id uint64, k *kept)) {
	part := rapid.SampledFrom([]uint64{1, 2, 3}).Draw(m.T, "part")
	for _, id := range slices.Sorted(maps.Keys(m.there)) {
		if k := m.there[id]; k.out != nil && id%3 < part {
			do(id, k)
		}
	}
}

func (m *logModel) end(id uint64, k *kept) {
	m.l.End(*k.out)
	k.out = nil
	m.limbo[id] = k
	delete(m.there, id)
}

func (m *logModel) giveBack(_ uint64, k *kept) {
	m.l.Return(*k.out)
	k.out = nil
}

func (m *logModel) flush() {
	m.must(m.l.Flush())
	clear(m.limbo)
}

func (m *logModel) clean() {
	parts := rapid.SampledFrom([]int64{2, 8, 32}).Draw(m.T, "parts")
	for times := 0; m.l.Clean(parts); times++ {
		if times > 100 {
			m.Fatal("cleaning does not end")
		}
	}
}

// check compares what is in the log, and the counts, with what should be.
func (m *logModel) check() {
	for _, name := range modelNames {
		seen, out, lost := make(map[uint64]bool), 0, 0
		m.each(name, func(f *Found, _ *kept) { seen[f.ID] = true })
		for id, k := range m.there {
			switch {
			case k.name != name:
			case k.out != nil:
				out++
				if !seen[id] && !k.doubted {
					m.Fatalf("record %d is lost while it is checked out", id)
				}
				if !seen[id] {
					lost++
				}
			case seen[id]:
			case !k.doubted:
				m.Fatalf("record %d is lost", id)
			default:
				m.lost[id] = k
				delete(m.there, id)
			}
		}
		t := m.tally(name)
		if records := int(t.Records.Load()); records != len(seen)+lost || int(t.Waiting.Load()) != records-out {
			m.Fatalf("%q: %d are counted, and %d wait; %d are there, and %d are checked out, of which %d are lost",
				name, records, t.Waiting.Load(), len(seen), out, lost)
		}
	}
}
