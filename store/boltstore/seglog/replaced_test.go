package seglog

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// A segment that was replaced, and could not be removed at once, is removed before its replacement
// is: what is done does not come back.
func TestReplacedSegmentThatStays(t *testing.T) {
	for name, tt := range map[string]struct {
		fail, mend func(l *Log, old, kept string) error // fail runs once renew has opened old, mend later
	}{
		"it cannot be removed": {
			func(_ *Log, old, kept string) error {
				return errors.Join(os.Rename(old, kept), os.MkdirAll(filepath.Join(old, "full"), 0o700))
			},
			func(_ *Log, old, kept string) error { return errors.Join(os.RemoveAll(old), os.Rename(kept, old)) },
		},
		"the directory cannot be synced": {
			func(l *Log, _, kept string) error { l.Dir = kept; return nil },
			func(l *Log, old, _ string) error { l.Dir = filepath.Dir(old); return nil },
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l, tally := openLog(t, dir)
			l.Note = func(error, int64) {}
			first, second := put(t, l, tally, 1), put(t, l, tally, 2)
			l.Roll()
			put(t, l, tally, 3)
			l.End(first)
			old, kept, failing := l.segments[0].path, filepath.Join(t.TempDir(), "kept"), false
			l.segments[0].Soonest = 1
			l.buffers = sync.Pool{New: func() any {
				if !failing {
					if err := tt.fail(l, old, kept); err != nil {
						t.Error(err)
					}
				}
				failing = true
				return new([]byte)
			}}
			l.DropExpired()
			if !failing {
				t.Fatal("the segment was not rewritten")
			}
			l.End(second)
			for range 2 {
				if l.Flush() == nil {
					t.Error("Flush does not report what it cannot do")
				}
			}
			if err := tt.mend(l, old, kept); err != nil {
				t.Fatal(err)
			}
			checkThere(t, "after a kill", imageOf(t, dir).write(t), []uint64{3})
			if err := l.Flush(); err != nil {
				t.Fatal(err)
			}
			if exists(old) || l.Segments() != 1 {
				t.Errorf("%s is there: %v; %d segments", old, exists(old), l.Segments())
			}
			checkThere(t, "at the end", imageOf(t, dir).write(t), []uint64{3})
		})
	}
}
