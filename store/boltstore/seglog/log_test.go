package seglog

import (
	"iter"
	"testing"
	"time"

	"apnsbridge/store"
)

// openLog is a log in dir with one name, of which nothing is checked out.
func openLog(t *testing.T, dir string) (*Log, *Tally) {
	t.Helper()
	tally := &Tally{Name: "mail"}
	l, err := Open(Config{
		Dir: dir, Salt: 1, Now: time.Now, Segment: 4 << 20, Room: 1 << 10,
		Tally:      func(string) *Tally { return tally },
		CheckedOut: func(fn func(iter.Seq[Out])) { fn(func(func(Out) bool) {}) },
		Note: func(err error, _ int64) {
			if err != nil {
				t.Error(err)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Roll)
	return l, tally
}

// put appends a record of a name, which is checked out then.
func put(t *testing.T, l *Log, tally *Tally, id uint64) Out {
	t.Helper()
	r := store.SpoolRecord{SpoolKey: store.SpoolKey{ID: id, Token: []byte("device")}, Body: []byte("{}")}
	size := int64(FrameSize(len(tally.Name), len(r.Token), len(r.Body)))
	b := &Batch{First: id, Bytes: size, Records: func(yield func(*Tally, *store.SpoolRecord) bool) { yield(tally, &r) }}
	l.Announce(b)
	if err := l.Commit(b); err != nil {
		t.Fatal(err)
	}
	return Out{ID: id, Size: size, Tally: tally}
}

// What is done while its segment is written anew is done in the new one.
func TestDoneWhileWrittenAnew(t *testing.T) {
	dir := t.TempDir()
	l, tally := openLog(t, dir)
	first, second := put(t, l, tally, 1), put(t, l, tally, 2)
	l.Roll()
	run := l.segments[:1:1]
	name := run[0].name
	name.generation++
	to := newSegment(dir, name)
	to.Summary = run[0].Summary
	before := to.doneIn(run)
	l.End(first)
	l.replace(run, to, before)
	if l.Has(first.ID) || !l.Has(second.ID) {
		t.Errorf("the first is there: %v, the second: %v", l.Has(first.ID), l.Has(second.ID))
	}
	if records, waiting := tally.Records.Load(), tally.Waiting.Load(); records != 1 || waiting != 0 {
		t.Errorf("%d records are there, and %d wait; want one, that is checked out", records, waiting)
	}
}
