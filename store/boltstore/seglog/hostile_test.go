package seglog

import (
	"bytes"
	"fmt"
	"iter"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// there returns the IDs of all whole records in a log, as a reader finds them.
func there(t *testing.T, l *Log, tally *Tally) (ids []uint64) {
	t.Helper()
	_, err := l.Each(tally, 0, math.MaxInt64, func(f *Found) bool {
		if l.Has(f.ID) && f.Record(f.Bytes()).Broken == nil {
			ids = append(ids, f.ID)
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// checkThere opens the log in dir, as the process after a crash does, and compares the IDs in it with want.
func checkThere(t *testing.T, what, dir string, want []uint64) {
	t.Helper()
	l, tally := openLog(t, dir)
	if got := there(t, l, tally); !slices.Equal(got, want) || tally.Records.Load() != int64(len(want)) {
		t.Errorf("%s: got records %v, and %d are counted; want %v", what, got, tally.Records.Load(), want)
	}
}

// image is the files of a directory, by name.
type image map[string][]byte

func imageOf(t *testing.T, dir string) image {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := make(image)
	for _, e := range entries {
		if files[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func (files image) write(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// A summary with a flipped bit hides no record, and removes no other segment.
func TestSummaryDamaged(t *testing.T) {
	dir := t.TempDir()
	l, tally := openLog(t, dir)
	var want []uint64
	for id := uint64(1); id <= 6; id++ {
		put(t, l, tally, id)
		if want = append(want, id); id%2 == 0 {
			l.Roll()
		}
	}
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	files := imageOf(t, dir)
	name := strings.TrimSuffix(filepath.Base(l.segments[0].path), segmentEnd) + summaryEnd
	whole := files[name]
	for i := range whole {
		for _, bit := range []int{i % 4, 4 + i%4} {
			files[name] = bytes.Clone(whole)
			files[name][i] ^= 1 << bit
			checkThere(t, fmt.Sprintf("byte %d, bit %d", i, bit), files.write(t), want)
		}
	}
}

// Cleaning ends even if the counts of a segment are wrong, and corrects them.
func TestCleanOfWrongCounts(t *testing.T) {
	for name, wrong := range map[string]count{
		"too few":  {Records: 1, Bytes: 1},
		"none":     {},
		"too many": {Records: 100, Bytes: 1 << 20},
		"below 0":  {Records: -1, Bytes: -1 << 20},
	} {
		for _, unknown := range []bool{false, true} { // the segment has records of no known name
			t.Run(fmt.Sprint(name, unknown), func(t *testing.T) {
				l, tally := openLog(t, t.TempDir())
				all := []Out{put(t, l, tally, 1), put(t, l, tally, 2), put(t, l, tally, 3)}
				l.Roll()
				put(t, l, tally, 4)
				g := l.segments[0]
				g.add(tally, wrong.Records-g.live.Records, wrong.Bytes-g.live.Bytes)
				if unknown {
					l.Tally = func(string) *Tally { return nil }
				}
				for times := 0; l.Clean(2) || l.Clean(8); times++ {
					if times > 3 {
						t.Fatal("the segment is rewritten again and again")
					}
				}
				if unknown {
					return
				}
				if name != "too many" && tally.Records.Load() != 4 {
					t.Errorf("%d records are counted, want 4", tally.Records.Load())
				}
				l.End(all[0])
				l.End(all[1])
				if name != "too many" && !l.Clean(2) {
					t.Error("the segment is not rewritten, though most of it is done")
				}
				if got := there(t, l, tally); !slices.Equal(got, []uint64{3, 4}) {
					t.Errorf("got records %v, want 3 and 4", got)
				}
			})
		}
	}
}

// Damage in a segment is counted when a reader first meets it, and not again by each reader that
// begins in the middle of the segment.
func TestDamageIsCountedOnce(t *testing.T) {
	l, tally := openLog(t, t.TempDir())
	var at []int64
	for id := uint64(1); id <= 6; id++ {
		at = append(at, l.Size())
		put(t, l, tally, id)
	}
	g := l.segments[0]
	g.points = []waypoint{{4, at[3]}} // as a long segment has them
	f, err := os.OpenFile(g.path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, off := range at[2:4] {
		if _, err := f.WriteAt([]byte{0}, off); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	counted := 0
	l.CheckedOut = func(fn func(iter.Seq[Out])) {
		counted++
		fn(func(func(Out) bool) {})
	}
	if got := there(t, l, tally); !slices.Equal(got, []uint64{1, 2, 5, 6}) || counted != 1 {
		t.Fatalf("got records %v, and the damage was counted %d times", got, counted)
	}
	for range 3 {
		if _, err := l.Each(tally, 4, math.MaxInt64, func(*Found) bool { return true }); err != nil {
			t.Fatal(err)
		}
	}
	if broken, _ := l.Broken(); counted != 1 || broken != 2 || tally.Lost.Load() != 2 {
		t.Errorf("damage was counted %d times, with %d broken records, %d of the name", counted, broken, tally.Lost.Load())
	}
}

// A crash during a write may leave any part of it, and anything behind that. What was written
// before is there, whole, and nothing else is.
func TestTornAnywhere(t *testing.T) {
	dir := t.TempDir()
	l, tally := openLog(t, dir)
	var ids []uint64
	var ends []int64
	for id := uint64(1); id <= 4; id++ {
		put(t, l, tally, id)
		ids, ends = append(ids, id), append(ends, l.Size())
	}
	files := imageOf(t, dir)
	name := filepath.Base(l.segments[0].path)
	whole := files[name]
	for size := int(ends[1]); size <= len(whole); size += 3 {
		want := 0
		for want < len(ends) && ends[want] <= int64(size) {
			want++
		}
		for what, tail := range map[string][]byte{
			"nothing": nil, "zeros": make([]byte, 300), "ones": bytes.Repeat([]byte{0xff}, 300), "the beginning of a frame": whole[:30],
		} {
			files[name] = append(bytes.Clone(whole[:size]), tail...)
			l, tally := openLog(t, files.write(t))
			got, counted := there(t, l, tally), int(tally.Records.Load())
			if !slices.Equal(got, ids[:want]) || counted < want || counted > want+1 { // one may be broken
				t.Errorf("cut at %d, %s behind it: got %v, and %d are counted; want %v", size, what, got, counted, ids[:want])
			}
		}
	}
}

// sparse makes a log in dir in which one record in four is left, and returns the IDs of those.
func sparse(t *testing.T, dir string) (l *Log, left []uint64) {
	t.Helper()
	l, tally := openLog(t, dir)
	for id := uint64(1); id <= 12; id++ {
		if o := put(t, l, tally, id); id%4 != 0 {
			l.End(o)
			continue
		}
		left = append(left, id)
		l.Roll()
	}
	put(t, l, tally, 13)
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	return l, append(left, 13)
}

// rewritten returns the segment that is new in after, and the sorted names of the files of before that are
// gone: .done, .log and .sum of one segment after another.
func rewritten(t *testing.T, before, after image) (segment string, removed []string) {
	t.Helper()
	var added []string
	for name := range after {
		if before[name] == nil {
			added = append(added, name)
			if strings.HasSuffix(name, segmentEnd) {
				segment = name
			}
		}
	}
	for name := range before {
		if after[name] == nil {
			removed = append(removed, name)
		}
	}
	slices.Sort(removed)
	if segment == "" || len(removed) < 6 {
		t.Fatalf("added: %v, removed: %v", added, removed)
	}
	return segment, removed
}

// A crash at any moment while segments are rewritten leaves each record once, in the old segments
// or in the new one.
func TestWrittenAnewAtAnyMoment(t *testing.T) {
	dir := t.TempDir()
	l, want := sparse(t, dir)
	before := imageOf(t, dir)
	if !l.Clean(2) {
		t.Fatal("nothing was rewritten")
	}
	after := imageOf(t, dir)
	to, removed := rewritten(t, before, after)
	state := maps.Clone(before)
	check := func(what string) {
		t.Helper()
		checkThere(t, what, state.write(t), want)
	}

	// First the new segment is written, under another name, and its summary.
	part, summary := after[to], strings.TrimSuffix(to, segmentEnd)+summaryEnd
	for size := 0; size <= len(part); size += 7 {
		state[to+newEnd] = part[:size]
		check(fmt.Sprintf("%d bytes of the new one", size))
	}
	state[to+newEnd] = part
	for size := 0; size <= len(after[summary]); size += 5 {
		state[summary+newEnd] = after[summary][:size]
		check(fmt.Sprintf("%d bytes of its summary", size))
	}

	// Then both are renamed, first the summary.
	delete(state, summary+newEnd)
	state[summary] = after[summary]
	check("its summary")
	delete(state, to+newEnd)
	state[to] = part
	check("both the old and the new")

	// Then the old segments are removed, in any order, and then the files beside them.
	for _, name := range removed {
		state := maps.Clone(state)
		delete(state, name)
		if strings.HasSuffix(name, segmentEnd) {
			checkThere(t, "without "+name, state.write(t), want)
		}
	}
	for _, name := range removed {
		if strings.HasSuffix(name, segmentEnd) {
			delete(state, name)
			check("without it and those before " + name)
		}
	}
	for _, name := range removed {
		delete(state, name)
		check("without it and those before " + name)
	}
}
