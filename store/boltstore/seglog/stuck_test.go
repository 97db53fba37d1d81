package seglog

import (
	"errors"
	"math"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"apnsbridge/store"
	"apnsbridge/store/storetest"
)

// sparseLog makes a log with three segments, in each of which the second of three records is left.
// What is left does not fit into one segment. Clean begins with the first, of which most is done.
func sparseLog(t *testing.T, dir string) (l *Log, tally *Tally) {
	t.Helper()
	l, tally = openLog(t, dir)
	l.Segment = 1
	for i, size := range []int{2000, 1500, 1000} {
		var all []Out
		for id := uint64(1 + 3*i); id <= uint64(3+3*i); id++ {
			all = append(all, putSized(t, l, tally, id, size))
			l.Segment = 1 << 20
		}
		l.End(all[0])
		l.End(all[2])
		l.Roll()
		l.Segment = 1
	}
	put(t, l, tally, 10)
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	return l, tally
}

// cleanAll cleans until there is nothing to clean, and fails the test if that does not end.
func cleanAll(t *testing.T, l *Log) {
	t.Helper()
	for times := 0; l.Clean(2); times++ {
		if times > 20 {
			t.Fatal("cleaning does not end")
		}
	}
}

// A segment that cannot be rewritten does not keep others from it, is reported once, and is rewritten
// once that is possible again.
func TestCleanPassesOverWhatFails(t *testing.T) {
	for name, tt := range map[string]struct {
		fail, mend func(path string) error // of the first segment
		told       uint64
	}{
		"it cannot be opened": {
			func(path string) error {
				return errors.Join(os.Rename(path, path+".away"), os.Symlink(path, path))
			},
			func(path string) error { return os.Rename(path+".away", path) },
			1,
		},
		"it is in the way of the new one": {
			func(path string) error { return os.MkdirAll(renewedPath(path)+newEnd+"/full", 0o700) },
			func(path string) error { return os.RemoveAll(renewedPath(path) + newEnd) },
			0,
		},
		"it is in the way of the new one's summary": {
			func(path string) error { return os.MkdirAll(beside(renewedPath(path), summaryEnd)+"/full", 0o700) },
			func(path string) error { return os.RemoveAll(beside(renewedPath(path), summaryEnd)) },
			0,
		},
		"it is in the way of the new one's marks": {
			func(path string) error { return os.MkdirAll(beside(renewedPath(path), marksEnd)+"/full", 0o700) },
			func(path string) error { return os.RemoveAll(beside(renewedPath(path), marksEnd)) },
			0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l, _ := sparseLog(t, dir)
			now, failures := time.Now(), 0
			l.Now = func() time.Time { return now }
			l.Note = func(err error, _ int64) {
				if err != nil {
					failures++
				}
			}
			first := l.segments[0]
			if err := tt.fail(first.path); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				cleanAll(t, l)
				l.DropExpired()
			}
			if l.segments[0] != first || l.segments[1].dead() != 0 || l.segments[2].dead() != 0 {
				t.Fatalf("there are %d segments, with %d, %d and %d dead bytes", l.Segments(),
					l.segments[0].dead(), l.segments[1].dead(), l.segments[2].dead())
			}
			now = now.Add(restTime)
			cleanAll(t, l)
			if pieces, kept := l.Broken(); pieces != tt.told || kept != "" != (tt.told > 0) || tt.told == 0 && failures != 2 {
				t.Errorf("reported %d times, in %q, and noted %d times", pieces, kept, failures)
			}
			if err := tt.mend(first.path); err != nil {
				t.Fatal(err)
			}
			now = now.Add(restTime)
			cleanAll(t, l)
			if got := l.segments[0].dead(); got != 0 {
				t.Errorf("%d bytes are still dead, though the segment can be rewritten", got)
			}
			checkThere(t, "after a kill", imageOf(t, dir).write(t), []uint64{2, 5, 8, 10})
		})
	}
}

// renewedPath returns the path of the segment that replaces the one at path, of the first generation.
func renewedPath(path string) string { return strings.Replace(path, "-0-", "-1-", 1) }

// On a disk without room to rewrite a run of segments, they are rewritten one by one.
func TestCleanOfAFullDisk(t *testing.T) {
	disk := storetest.NewDisk(t, 16<<20)
	l, tally := openLog(t, disk.Dir)
	l.Room = 256 << 10
	full := 0
	l.Note = func(err error, _ int64) {
		if err != nil && !errors.Is(err, syscall.ENOSPC) {
			t.Error(err)
		}
		if err != nil {
			full++
		}
	}
	var left []uint64
	for i := range uint64(8) { // 128 KiB are left of each half MiB
		for k := range uint64(4) {
			o := putSized(t, l, tally, 1+4*i+k, 128<<10)
			if k == i%4 {
				left = append(left, o.ID)
				continue
			}
			l.End(o)
		}
		l.Roll()
	}
	put(t, l, tally, 100)
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	disk.Fill()
	cleanAll(t, l)
	for _, g := range l.segments {
		if g.dead() != 0 || !g.restsUntil.IsZero() {
			t.Errorf("a segment has %d dead bytes, and rests until %v", g.dead(), g.restsUntil)
		}
	}
	if full == 0 {
		t.Error("the disk was never full")
	}
	if got := there(t, l, tally); !slices.Equal(got, append(left, 100)) {
		t.Errorf("got records %v", got)
	}
	disk.Free()
}

// The room that is kept is given up when a quota is used up, as when the disk is full.
func TestRoomOfAQuota(t *testing.T) {
	for _, why := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		l, tally := openLog(t, t.TempDir())
		put(t, l, tally, 1)
		err := l.WithRoom(func() error {
			if exists(l.path(roomName)) {
				return why
			}
			return nil
		})
		if err != nil {
			t.Errorf("%v: the room was not given up: %v", why, err)
		}
	}
}

// putSized is put for a body of the given size.
func putSized(t *testing.T, l *Log, tally *Tally, id uint64, size int) Out {
	t.Helper()
	r := store.SpoolRecord{SpoolKey: store.SpoolKey{ID: id, Token: []byte("device")}, Body: make([]byte, size)}
	bytes := int64(FrameSize(len(tally.Name), len(r.Token), size))
	b := &Batch{First: id, Bytes: bytes, Records: func(yield func(*Tally, *store.SpoolRecord) bool) { yield(tally, &r) }}
	l.Announce(b)
	if err := l.Commit(b); err != nil {
		t.Fatal(err)
	}
	return Out{ID: id, Size: bytes, Tally: tally}
}

// Cleaning that is repeated ends, because each time it corrects the counts: one record that ends now and
// then does not have a whole segment rewritten.
func TestCleanSetsCountsRight(t *testing.T) {
	for name, wrong := range map[string]count{"too few": {45, 1}, "none": {}, "below 0": {-5, -1 << 20}} {
		t.Run(name, func(t *testing.T) {
			l, tally := openLog(t, t.TempDir())
			var all []Out
			for id := range uint64(60) {
				all = append(all, put(t, l, tally, 1+id))
			}
			l.Roll()
			put(t, l, tally, 100)
			l.End(all[0])
			g := l.segments[0]
			g.add(tally, wrong.Records-g.live.Records, wrong.Bytes-g.live.Bytes)
			times := 0
			for _, o := range all[1:20] {
				l.End(o)
				for rounds, later := 0, true; later; rounds++ {
					if rounds > 20 {
						t.Fatal("the segment is to be looked at again and again")
					}
					if err := l.Flush(); err != nil {
						t.Fatal(err)
					}
					cleaned := true
					for cleaned {
						if cleaned, later = l.CleanAtRest(2); cleaned {
							times++
						}
						if times > 3 {
							t.Fatal("the segment is rewritten again and again")
						}
					}
				}
			}
			if got := tally.Records.Load(); got != 41 || times != 1 {
				t.Errorf("%d are counted, want 41; the segment was rewritten %d times, want once", got, times)
			}
			if _, err := l.Each(tally, 0, math.MaxInt64, func(*Found) bool { return true }); err != nil {
				t.Error(err)
			}
		})
	}
}
