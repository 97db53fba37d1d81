package seglog

import (
	"iter"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"apnsbridge/store"
	"apnsbridge/store/storetest"
)

func TestMain(m *testing.M) {
	if err := storetest.InMemory(); err != nil {
		panic(err)
	}
	m.Run()
}

// openLog opens a log in dir with one name and nothing checked out.
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

// put appends a record of tally's name, which is checked out then.
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

// A record that is done while its segment is rewritten is done in the new one too.
func TestDoneWhileWrittenAnew(t *testing.T) {
	dir := t.TempDir()
	l, tally := openLog(t, dir)
	first, second := put(t, l, tally, 1), put(t, l, tally, 2)
	l.Roll()
	run := l.segments[:1:1]
	name := run[0].name
	name.generation++
	to := &renewal{segment: newSegment(dir, name), run: run}
	to.summary = run[0].summary
	to.before = to.doneIn(run)
	to.there = []counted{{tally, first.ID, 0, first.Size}, {tally, second.ID, first.Size, second.Size}}
	l.End(first)
	l.CheckedOut(func(held iter.Seq[Out]) { l.replace(to, held) })
	if l.Has(first.ID) || !l.Has(second.ID) {
		t.Errorf("the first is there: %v, the second: %v", l.Has(first.ID), l.Has(second.ID))
	}
	if records, waiting := tally.Records.Load(), tally.Waiting.Load(); records != 1 || waiting != 0 {
		t.Errorf("%d records are there, and %d wait; want one, which is checked out", records, waiting)
	}
}

// A segment with a summary is not read when the log is opened, unless some of its records are
// done. A summary that a crash has damaged does no harm.
func TestSummary(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(t *testing.T, log, summary string)
		done   bool
		want   int64
	}{
		"whole":   {func(*testing.T, string, string) {}, false, 2},
		"cut":     {func(t *testing.T, _, summary string) { cut(t, summary, 10) }, false, 1},
		"empty":   {func(t *testing.T, _, summary string) { cut(t, summary, 0) }, false, 1},
		"missing": {func(t *testing.T, _, summary string) { os.Remove(summary) }, false, 1},
		"of more than there is": {func(t *testing.T, log, _ string) {
			info, err := os.Stat(log)
			if err != nil {
				t.Fatal(err)
			}
			cut(t, log, info.Size()-1)
		}, false, 1},
		"one is done": {func(*testing.T, string, string) {}, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l, tally := openLog(t, dir)
			first := put(t, l, tally, 1)
			put(t, l, tally, 2)
			if tt.done {
				l.End(first)
			}
			l.Roll()
			if err := l.Flush(); err != nil {
				t.Fatal(err)
			}
			paths, err := filepath.Glob(filepath.Join(dir, "*"+segmentEnd))
			if err != nil || len(paths) != 1 {
				t.Fatalf("%v, %v", paths, err)
			}
			// Damage the second record: the count then shows whether the segment is read.
			f, err := os.OpenFile(paths[0], os.O_WRONLY, 0)
			if err == nil {
				_, err = f.WriteAt([]byte{0}, first.Size)
			}
			if err != nil || f.Close() != nil {
				t.Fatal(err)
			}
			tt.change(t, paths[0], beside(paths[0], summaryEnd))
			_, again := openLog(t, dir)
			if got := again.Records.Load(); got != tt.want {
				t.Errorf("%d records are there, want %d", got, tt.want)
			}
		})
	}
}

func cut(t *testing.T, path string, size int64) {
	t.Helper()
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

// A name may be any bytes, as a topic in a certificate may, and is the same when the log is opened again.
func TestSummaryKeepsAnyName(t *testing.T) {
	for _, name := range []string{"mail", "mail\x00production\x00com.example.\xff", "\xff\xfe", "<&>\u2028", "\ufffd"} {
		dir := t.TempDir()
		l, tally := openLog(t, dir)
		tally.Name = name
		put(t, l, tally, 1)
		l.Roll()
		if err := l.Flush(); err != nil {
			t.Fatal(err)
		}
		var found []string
		c := l.Config
		c.Tally = func(name string) *Tally {
			found = append(found, name)
			return &Tally{Name: name}
		}
		if _, err := Open(c); err != nil || !slices.Equal(found, []string{name}) {
			t.Errorf("%q is found as %q, %v", name, found, err)
		}
	}
}

// An ID is not assigned twice, even if the record with the last one was done, and was dropped when its segment was
// rewritten before the process ended.
func TestLastIDOutlivesItsRecord(t *testing.T) {
	for _, reopened := range []bool{false, true} {
		dir := t.TempDir()
		l, tally := openLog(t, dir)
		put(t, l, tally, 1)
		l.End(put(t, l, tally, 2))
		l.Roll()
		if err := l.Flush(); err != nil {
			t.Fatal(err)
		}
		if reopened { // as a killed process leaves it
			if err := os.Remove(beside(l.segments[0].path, summaryEnd)); err != nil {
				t.Fatal(err)
			}
			l, _ = openLog(t, dir)
		}
		if !l.Clean(2) {
			t.Fatal("nothing was rewritten")
		}
		if l, _ = openLog(t, dir); l.LastID() != 2 {
			t.Errorf("the last ID is %d, want 2", l.LastID())
		}
		if err := l.Flush(); err != nil {
			t.Fatal(err)
		}
		if of, ok := readSummary(l.segments[0].path); !ok || of.Last != 2 || of.Counts["mail"].Records != 1 {
			t.Errorf("the summary says %+v", of)
		}
	}
}

// A reader may be in a file that is replaced meanwhile. What was done before is not in the new file, and is done for
// that reader all the same, however often the file is replaced.
func TestDoneForAReaderOfTheOldFile(t *testing.T) {
	l, tally := openLog(t, t.TempDir())
	var all []Out
	for id := range uint64(8) {
		all = append(all, put(t, l, tally, 1+id))
	}
	l.Roll()
	for _, n := range []int{4, 6} {
		for _, o := range all[:n] {
			if l.Has(o.ID) {
				l.End(o)
			}
		}
		if !l.Clean(2) {
			t.Fatal("nothing was rewritten")
		}
		for i, o := range all {
			if got := l.Has(o.ID); got != (i >= n) {
				t.Errorf("with %d done, the log has %d: %v", n, o.ID, got)
			}
		}
	}
	if records := tally.Records.Load(); records != 2 {
		t.Errorf("%d records are counted, want 2", records)
	}
}

// A segment that drains is not rewritten first. One that stays is, even if a little of it ends now and then.
func TestCleanAtRest(t *testing.T) {
	l, tally := openLog(t, t.TempDir())
	var all []Out
	for id := range uint64(100) {
		all = append(all, put(t, l, tally, 1+id))
	}
	l.Roll()
	for _, step := range []struct {
		name           string
		ends           int
		cleaned, later bool
	}{
		{"most is done at once", 60, false, true},
		{"a quarter of the rest", 10, false, true},
		{"one of thirty", 1, true, false},
		{"nothing", 0, false, false},
		{"most of what is left", 20, false, true},
		{"nothing more", 0, true, false},
	} {
		for _, o := range all[:step.ends] {
			l.End(o)
		}
		all = all[step.ends:]
		if err := l.Flush(); err != nil {
			t.Fatal(err)
		}
		if cleaned, later := l.CleanAtRest(2); cleaned != step.cleaned || later != step.later {
			t.Errorf("%s: cleaned %t, later %t; want %t, %t", step.name, cleaned, later, step.cleaned, step.later)
		}
	}
	if records := tally.Records.Load(); records != int64(len(all)) {
		t.Errorf("%d records are counted, want %d", records, len(all))
	}
}
