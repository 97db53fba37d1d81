package seglog

import (
	"errors"
	"io/fs"
	"iter"
	"math"
	"os"
	"slices"
	"testing"
)

// A file that was removed is lost, as a page that cannot be read is: its records are counted as
// lost and reported, and no reader or cleaner stops at it. One that is checked out counts as long
// as it is.
func TestLostFile(t *testing.T) {
	for name, at := range map[string]int{"the first": 0, "one between others": 1, "the current one": 3} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l, tally := sparseLog(t, dir)
			ids := []uint64{2, 5, 8, 10}
			held := Out{ID: ids[at], Size: l.segments[at].live.Bytes, Tally: tally}
			out := slices.Values([]Out{held})
			l.CheckedOut = func(fn func(iter.Seq[Out])) { fn(out) }
			if err := os.Remove(l.segments[at].path); err != nil {
				t.Fatal(err)
			}
			cleanAll(t, l)
			want := slices.Delete(slices.Clone(ids), at, at+1)
			if got := there(t, l, tally); !slices.Equal(got, want) || tally.Records.Load() != 4 {
				t.Errorf("got records %v, and %d are counted; want %v and the one checked out", got, tally.Records.Load(), want)
			}
			if pieces, kept := l.Broken(); pieces != 1 || kept == "" {
				t.Errorf("%d are reported as broken, in %q, want 1", pieces, kept)
			}
			l.End(held)
			out = func(func(Out) bool) {}
			l.Segment = 1 << 20 // no segment is full
			put(t, l, tally, 11)
			if err := l.Flush(); err != nil {
				t.Fatal(err)
			}
			want = append(want, 11)
			if got := there(t, l, tally); !slices.Equal(got, want) || tally.Records.Load() != 4 {
				t.Errorf("got records %v, and %d are counted; want %v", got, tally.Records.Load(), want)
			}
			for _, g := range l.segments {
				if !exists(g.path) {
					t.Errorf("%s is gone, but still a segment of the log", g.path)
				}
			}
			checkThere(t, "after a kill", imageOf(t, dir).write(t), want)
		})
	}
}

// What is missing for a while is not lost: the whole directory, or a segment that is replaced while a reader
// is about to read it.
func TestAwayIsNotLost(t *testing.T) {
	dir := t.TempDir()
	l, tally := sparseLog(t, dir)
	read := func() error {
		_, err := l.Each(tally, 0, math.MaxInt64, func(*Found) bool { return true })
		return err
	}
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	if err := read(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got error %v without the directory, want %v", err, fs.ErrNotExist)
	}
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
	old := l.segments[0]
	cleanAll(t, l)
	if err := l.scan(old, 0, old.Size, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got error %v for a segment that was replaced, want %v", err, fs.ErrNotExist)
	}
	if got := there(t, l, tally); !slices.Equal(got, []uint64{2, 5, 8, 10}) {
		t.Errorf("got records %v", got)
	}
}

// What is put after the current file was removed is not lost with it.
func TestPutBehindARemoval(t *testing.T) {
	dir := t.TempDir()
	l, tally := openLog(t, dir)
	put(t, l, tally, 1)
	if err := os.Remove(l.current.path); err != nil {
		t.Fatal(err)
	}
	put(t, l, tally, 2)
	if got := there(t, l, tally); !slices.Equal(got, []uint64{2}) {
		t.Errorf("got records %v, want the second", got)
	}
	checkThere(t, "after a kill", imageOf(t, dir).write(t), []uint64{2})
}

// A file in which nothing could be read when the log was opened may be removed like any other.
func TestLostFileOfNothing(t *testing.T) {
	dir := t.TempDir()
	l, tally := openLog(t, dir)
	first := put(t, l, tally, 1)
	path := l.current.path
	damage(t, path, 0, first.Size)
	nothing, tally := openLog(t, dir)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := nothing.scan(nothing.segments[0], 0, first.Size, nil); err != nil {
		t.Error(err)
	}
	if got := there(t, nothing, tally); len(got) != 0 {
		t.Errorf("got records %v", got)
	}
}
