package seglog

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// A flipped bit in a segment costs one record, which is reported: it is broken, or not there. All others are read as
// they were put, once, whether or not the log was open by then, and whether or not there is a summary.
func TestAnyBitDamaged(t *testing.T) {
	for _, summarized := range []bool{false, true} {
		dir := t.TempDir()
		l, tally := openLog(t, dir)
		for id := uint64(1); id <= 3; id++ {
			put(t, l, tally, id)
		}
		if summarized {
			l.Roll()
			if err := l.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		path := l.segments[0].path
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		write := func(b []byte) {
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for at := range whole {
			for bit := range 8 {
				damaged := bytes.Clone(whole)
				damaged[at] ^= 1 << bit
				what := fmt.Sprintf("summarized %v, byte %d, bit %d", summarized, at, bit)
				write(damaged)
				again, count := openLog(t, dir)
				checkTwoOfThree(t, what, again, count)
				write(whole)
				open, count := openLog(t, dir)
				write(damaged)
				checkTwoOfThree(t, what+", while it is open", open, count)
			}
		}
	}
}

// checkTwoOfThree reads the whole log, which should give two of the first three records and report the third.
func checkTwoOfThree(t *testing.T, what string, l *Log, tally *Tally) {
	t.Helper()
	given, broken, last := 0, 0, uint64(0)
	_, err := l.Each(tally, 0, math.MaxInt64, func(f *Found) bool {
		r := f.Record(f.Bytes())
		if f.ID <= last || f.ID > 3 || string(r.Token) != "device" || r.Broken == nil && string(r.Body) != "{}" {
			t.Errorf("%s: got %+v after record %d", what, r, last)
		}
		if last = f.ID; r.Broken == nil {
			given++
			return true
		}
		broken++
		l.Quarantine(bytes.NewReader(f.Bytes()))
		return true
	})
	if err != nil || given != 2 || tally.Records.Load() != int64(given+broken) {
		t.Errorf("%s: %d are whole, %d broken, and %d are counted; error %v", what, given, broken, tally.Records.Load(), err)
	}
	pieces, kept := l.Broken()
	if pieces != 1 && last == 3 || pieces > 0 && kept == "" { // a damaged end may be an unfinished write
		t.Errorf("%s: %d broken pieces are reported, in %q", what, pieces, kept)
	}
	os.Remove(kept)
}

// A log with two segments of the same IDs, neither of which replaces the other, is not opened: one would be removed.
func TestSameIDs(t *testing.T) {
	dir := t.TempDir()
	l, tally := openLog(t, dir)
	put(t, l, tally, 1)
	put(t, l, tally, 2)
	files := imageOf(t, dir)
	files[Name{first: 2, salt: l.Salt}.String()] = files[filepath.Base(l.current.path)]
	l.Dir = files.write(t)
	if _, err := Open(l.Config); err == nil || len(imageOf(t, l.Dir)) != len(files) {
		t.Errorf("got error %v, and %d files of %d are left; want all", err, len(imageOf(t, l.Dir)), len(files))
	}
}
