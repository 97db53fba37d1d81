package boltstore

import (
	"context"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"apnsbridge/store"
)

// A queues.db in which damage is met behind sound records is read in part before it is set
// aside. What was counted of it must not be left behind: what waits in the log is found.
func TestQueuesDamagedBehindSoundOnes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		queued int // sound records before the damage
	}{
		{"none", 0},
		{"one", 1},
		{"two", 2},
		{"ten", 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := openTestSpool(t, dir, Options{})
			const logged = 5
			putAll(t, s, mailLine, spoolRecords(0, logged))
			if tt.queued > 0 {
				queued := spoolRecords(100, tt.queued)
				for i := range queued {
					queued[i].Queued = true
				}
				putAll(t, s, mailLine, queued)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			db, err := bbolt.Open(filepath.Join(dir, spoolDir, queuesFileName), 0o600, nil)
			if err != nil {
				t.Fatal(err)
			}
			err = db.Update(func(tx *bbolt.Tx) error {
				b, err := tx.Bucket([]byte("queues")).CreateBucketIfNotExists([]byte(mailLine.Joined()))
				if err != nil {
					return err
				}
				return b.Put([]byte("\xff short"), []byte("no record"))
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}

			s = openTestSpool(t, dir, Options{})
			if s.aside == nil {
				t.Fatal("the damaged file was not set aside")
			}
			if got := s.Lines(); len(got) != 1 || got[0] != mailLine {
				t.Errorf("lines %v, want that of the log", got)
			}
			s.forgetLines() // as is done 50 ms after anything was put
			if got := s.Waiting(mailLine); got != logged {
				t.Errorf("%d wait, want %d", got, logged)
			}
			list, err := s.Take(ctx, mailLine, 100, 1<<30)
			if err != nil || len(list) != logged {
				t.Errorf("took %d, %v; want %d", len(list), err, logged)
			}
		})
	}
}

// A line that had nothing and was removed is there again when something of it comes, though it was asked about last.
func TestLineComesAgain(t *testing.T) {
	s := openTestSpool(t, t.TempDir(), Options{})
	ctx, line := context.Background(), store.Line{App: "mail", Environment: "production"}
	for round := range 3 {
		records := []store.SpoolRecord{{SpoolKey: store.SpoolKey{Token: []byte("device")}, Body: []byte("{}")}}
		if err := s.Put(ctx, store.SpoolBatch{Line: line, Records: records}); err != nil {
			t.Fatal(err)
		}
		s.Return(line, records[0].SpoolKey)
		if got := s.Lines(); s.Waiting(line) != 1 || len(got) != 1 || got[0] != line {
			t.Fatalf("round %d: %d wait, and the lines are %v; want 1 of %v", round, s.Waiting(line), got, line)
		}
		got, err := s.Take(ctx, line, 10, 1<<20)
		if err != nil || len(got) != 1 {
			t.Fatalf("round %d: got %d records and error %v, want 1", round, len(got), err)
		}
		s.Done(line, got[0].SpoolKey)
		s.Waiting(line)
		s.forgetLines()
		if n := s.lines.known(line); n != nil {
			t.Fatalf("round %d: the line is still known", round)
		}
	}
}
