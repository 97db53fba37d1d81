package seglog

import (
	"iter"
	"math"
	"os"
	"slices"
	"testing"
)

// A record that becomes unreadable while it is not checked out is gone, and does not count, even
// if a reader has read it before and asks for it now.
func TestUnreadableIsNotThere(t *testing.T) {
	l, tally := openLog(t, t.TempDir())
	first, second := put(t, l, tally, 1), put(t, l, tally, 2)
	third := put(t, l, tally, 3)
	l.CheckedOut = func(fn func(iter.Seq[Out])) { fn(slices.Values([]Out{third})) }
	tally.Waiting.Add(2)
	damage(t, l.current.path, first.Size, 2*first.Size)
	if _, err := l.Each(tally, 0, math.MaxInt64, func(*Found) bool { return true }); err != nil {
		t.Fatal(err)
	}
	if !l.Has(first.ID) || l.Has(second.ID) || !l.Has(third.ID) || tally.Records.Load() != 2 {
		t.Errorf("Has: %v, %v and %v, and %d are counted; want the first and the third",
			l.Has(first.ID), l.Has(second.ID), l.Has(third.ID), tally.Records.Load())
	}
	l.End(third)
	if got := tally.Waiting.Load(); got != 1 {
		t.Errorf("%d records wait, want 1", got)
	}
}

// An ID that was passed over belongs to no record. It does not count even if it is checked out, as
// what a Put could not write is.
func TestPassedOverIsNotThere(t *testing.T) {
	l, tally := openLog(t, t.TempDir())
	first, third := put(t, l, tally, 1), put(t, l, tally, 3)
	second := Out{ID: 2, Size: first.Size, Tally: tally}
	l.CheckedOut = func(fn func(iter.Seq[Out])) { fn(slices.Values([]Out{second, third})) }
	damage(t, l.current.path, 0, first.Size)
	if _, err := l.Each(tally, 0, math.MaxInt64, func(*Found) bool { return true }); err != nil {
		t.Fatal(err)
	}
	if l.Has(second.ID) || tally.Records.Load() != 1 {
		t.Errorf("the second is there: %v; %d are counted, want 1", l.Has(second.ID), tally.Records.Load())
	}
}

// A record that became unreadable while it was checked out is gone once it is returned, or it would wait for ever.
func TestUnreadableIsNotReturned(t *testing.T) {
	for _, anew := range []bool{false, true} {
		l, tally := openLog(t, t.TempDir())
		first, second := put(t, l, tally, 1), put(t, l, tally, 2)
		l.Roll()
		put(t, l, tally, 3)
		l.CheckedOut = func(fn func(iter.Seq[Out])) { fn(slices.Values([]Out{first, second})) }
		damage(t, l.segments[0].path, first.Size, first.Size+second.Size)
		if _, err := l.Each(tally, 0, math.MaxInt64, func(*Found) bool { return true }); err != nil {
			t.Fatal(err)
		}
		if anew {
			l.segments[0].Soonest = 1
			l.DropExpired()
		}
		l.Return(first)
		l.Return(second)
		if !l.Has(first.ID) || l.Has(second.ID) || tally.Records.Load() != 2 || tally.Waiting.Load() != 1 {
			t.Errorf("Has: %v and %v; %d are counted, and %d wait; want the first, 2 and 1", l.Has(first.ID), l.Has(second.ID),
				tally.Records.Load(), tally.Waiting.Load())
		}
	}
}

// A record that became unreadable while it was checked out counts as long as it is checked out. It
// does not count in the next process, which would wait for it for ever: the segment no longer has it.
func TestUnreadableIsNotSummed(t *testing.T) {
	dir := t.TempDir()
	l, tally := openLog(t, dir)
	first, second := put(t, l, tally, 1), put(t, l, tally, 2)
	l.Roll()
	put(t, l, tally, 3)
	l.CheckedOut = func(fn func(iter.Seq[Out])) { fn(slices.Values([]Out{second})) }
	damage(t, l.segments[0].path, first.Size, first.Size+second.Size)
	l.segments[0].Soonest = 1
	l.DropExpired()
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := tally.Records.Load(); got != 3 {
		t.Errorf("%d are counted, want 3", got)
	}
	checkThere(t, "after a kill", imageOf(t, dir).write(t), []uint64{1, 3})
	l.End(second)
	if got := tally.Records.Load(); got != 2 {
		t.Errorf("%d are counted at the end, want 2", got)
	}
}

// A record that becomes readable again does not come back, and does not have its segment rewritten for ever.
func TestReadableAgainIsNotKept(t *testing.T) {
	l, tally := openLog(t, t.TempDir())
	first := put(t, l, tally, 1)
	put(t, l, tally, 2)
	put(t, l, tally, 3)
	path := l.current.path
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damage(t, path, 0, 2*first.Size)
	there(t, l, tally)
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	put(t, l, tally, 4)
	cleanAll(t, l)
	if got := there(t, l, tally); !slices.Equal(got, []uint64{3, 4}) || l.segments[0].dead() != 0 {
		t.Errorf("got records %v and %d dead bytes, want 3 and 4, and none", got, l.segments[0].dead())
	}
}

// damage overwrites a part of a file.
func damage(t *testing.T, path string, from, to int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteAt(make([]byte, to-from), from)
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}
