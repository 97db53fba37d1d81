package boltstore

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestTombstones(t *testing.T) {
	type step struct {
		wait     time.Duration
		add      []uint64
		withdraw uint64
		again    bool // another process begins
		clear    bool
		tidy     bool
	}
	for _, tt := range []struct {
		name  string
		bytes int64 // of the spool
		steps []step
		want  map[uint64]int
	}{
		{"none", 0, nil, map[uint64]int{}},
		{"as often as added", 0, []step{{add: []uint64{1, 2, 1}}, {add: []uint64{1}}}, map[uint64]int{1: 3, 2: 1}},
		{"but for those withdrawn", 0, []step{{add: []uint64{1, 2, 2}}, {withdraw: 2}, {withdraw: 1}, {withdraw: 9}}, map[uint64]int{2: 1}},
		{"of the run before last too", 0, []step{{add: []uint64{1}}, {again: true, add: []uint64{2}}}, map[uint64]int{1: 1, 2: 1}},
		{"withdrawn by the next run", 0, []step{{add: []uint64{1}}, {again: true, withdraw: 1}}, map[uint64]int{}},
		{"not those too old when the last was added", 0, []step{
			{add: []uint64{1}}, {wait: 5 * time.Minute, add: []uint64{2}}, {wait: 6 * time.Minute, add: []uint64{3}},
		}, map[uint64]int{2: 1, 3: 1}},
		{"however long nothing ran", 0, []step{{add: []uint64{1}}, {wait: 9 * time.Hour, again: true}}, map[uint64]int{1: 1}},
		{"none after an end in order", 0, []step{{add: []uint64{1}}, {wait: 11 * time.Minute, add: []uint64{2}}, {clear: true}}, map[uint64]int{}},
		{"none after ten quiet minutes", 0, []step{{add: []uint64{1}}, {wait: 10 * time.Minute, tidy: true}}, map[uint64]int{}},
		{"but before that", 0, []step{{add: []uint64{1}}, {wait: 9 * time.Minute, tidy: true}}, map[uint64]int{1: 1}},
		{"the latest of too many", 64 * 8 * tombstoneSize, []step{
			{add: []uint64{1, 2, 3}}, {wait: time.Second, add: []uint64{4, 5, 6}}, {wait: time.Second, add: []uint64{7, 8, 9}},
		}, map[uint64]int{4: 1, 5: 1, 6: 1, 7: 1, 8: 1, 9: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now := time.Unix(1_800_000_000, 0)
			o := Options{SpoolBytes: tt.bytes, Now: func() time.Time { return now }}
			o.setDefaults()
			dir := t.TempDir()
			tombs := newTombstones(dir, o)
			for _, s := range tt.steps {
				now = now.Add(s.wait)
				var err error
				if s.again {
					tombs = newTombstones(dir, o)
				}
				switch {
				case s.add != nil:
					err = tombs.Add(s.add...)
				case s.withdraw != 0:
					err = tombs.Withdraw(s.withdraw)
				case s.clear:
					err = tombs.Clear()
				case s.tidy:
					err = tombs.Tidy()
				}
				if err != nil {
					t.Fatal(err)
				}
				if got, limit := tombs.Bytes(), 2*tombs.limit+4*tombstoneSize; got > limit {
					t.Errorf("the tombstones take %d bytes, want at most %d", got, limit)
				}
			}
			got, err := newTombstones(dir, o).Load()
			if err != nil || !maps.Equal(got, tt.want) {
				t.Errorf("got %v and error %v, want %v", got, err, tt.want)
			}
		})
	}
}

// A record that was cut short by a crash does not harm the others.
func TestTombstonesCutShort(t *testing.T) {
	var o Options
	o.setDefaults()
	dir := t.TempDir()
	if err := newTombstones(dir, o).Add(1); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, tombstoneFile)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(b, tombPut, 0, 0), 0o600); err != nil {
		t.Fatal(err)
	}
	tombs := newTombstones(dir, o)
	if err := tombs.Add(2); err != nil {
		t.Fatal(err)
	}
	if got, err := tombs.Load(); err != nil || !maps.Equal(got, map[uint64]int{1: 1, 2: 1}) {
		t.Errorf("got %v and error %v, want 1 and 2", got, err)
	}
}
