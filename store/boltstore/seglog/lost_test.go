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

// A file that was removed is lost, as a page that cannot be read is: what was in it is counted,
// told, and no reader or cleaner stops at it. What is checked out counts as long as it is.
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
				t.Errorf("there are %v, and %d count, want %v and that which is checked out", got, tally.Records.Load(), want)
			}
			if pieces, kept := l.Broken(); pieces != 1 || kept == "" {
				t.Errorf("%d are told to be broken, in %q, want 1", pieces, kept)
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
				t.Errorf("there are %v, and %d count, want %v", got, tally.Records.Load(), want)
			}
			for _, g := range l.segments {
				if !exists(g.path) {
					t.Errorf("%s is still a segment", g.path)
				}
			}
			checkThere(t, "behind a kill", imageOf(t, dir).write(t), want)
		})
	}
}

// What is away for a while is not lost: the whole directory, or a segment that has become another while a
// reader was on its way to it.
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
		t.Errorf("got error %v of a segment whose place another has taken, want %v", err, fs.ErrNotExist)
	}
	if got := there(t, l, tally); !slices.Equal(got, []uint64{2, 5, 8, 10}) {
		t.Errorf("there are %v", got)
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
		t.Errorf("there are %v, want the second", got)
	}
	checkThere(t, "behind a kill", imageOf(t, dir).write(t), []uint64{2})
}

// A file in which nothing could be read when the log was opened may be removed as any other.
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
		t.Errorf("there are %v", got)
	}
}
