package boltstore

import (
	"flag"
	"path/filepath"
	"runtime/debug"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"go.uber.org/goleak"

	"apnsbridge/store"
	"apnsbridge/store/storetest"
)

func TestMain(m *testing.M) {
	if err := storetest.InMemory(); err != nil {
		panic(err)
	}
	flag.Parse()
	if set := flag.Lookup("test.parallel"); set.Value.String() == set.DefValue {
		_ = set.Value.Set("8") // many wait for a disk, a lock, or for the store to try again
	}
	debug.SetGCPercent(400) // the tests keep little, and leave much behind
	goleak.VerifyTestMain(m)
}

// place returns a function that opens a store in a new directory; each store is closed and checked at the end.
func place[S any](t *testing.T, part func(*Store) S) storetest.Place[S] {
	dir := t.TempDir()
	var open *Store
	shut := func() {
		if open == nil {
			return
		}
		if err := open.Close(); err != nil {
			t.Error(err)
		}
		consistent(t, filepath.Join(dir, "feedback.db"))
		consistent(t, filepath.Join(dir, spoolDir, queuesFileName))
	}
	t.Cleanup(shut)
	return func(s storetest.Settings) S {
		shut()
		var err error
		if open, err = Open(dir, Options{FeedbackEntries: s.Entries, FeedbackAge: s.Age, SpoolBytes: s.Spool, Now: s.Now}); err != nil {
			t.Fatal(err)
		}
		return part(open)
	}
}

// consistent has bbolt look for pages that are lost or used twice.
func consistent(t *testing.T, path string) {
	t.Helper()
	db, err := bbolt.Open(path, 0, &bbolt.Options{ReadOnly: true, Timeout: time.Second, PreLoadFreelist: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			t.Errorf("%s: %v", path, err)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

func TestFeedback(t *testing.T) {
	t.Parallel()
	storetest.Feedback(t, func(t *testing.T) storetest.Place[store.Feedback] {
		return place(t, func(s *Store) store.Feedback { return s.Feedback() })
	})
}

func TestLedger(t *testing.T) {
	t.Parallel()
	storetest.Ledger(t, func(t *testing.T) storetest.Place[store.Ledger] {
		return place(t, func(s *Store) store.Ledger { return s.Ledger() })
	})
}

func TestStats(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	s, err := Open(t.TempDir(), Options{FeedbackEntries: 2, FeedbackAge: time.Hour, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	record := func(i int) {
		if err := s.Feedback().Record(ctx, "mail", store.Dead{Token: token(i), Time: now}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 5 {
		record(i)
	}
	now = now.Add(2 * time.Hour)
	record(5)
	got := s.Stats()
	if got.FeedbackEntries != 1 || got.FeedbackEvicted != 3 || got.FeedbackExpired != 2 || got.FileBytes == 0 {
		t.Errorf("got %+v, want 1 entry, 3 evicted, 2 expired", got)
	}
	for i := 6; i < 10; i++ {
		record(i)
		if err := s.Feedback().Forget(ctx, "mail", store.Dead{Token: token(i), Time: now}); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.Stats(); got.FeedbackEntries != 1 || got.Given != 2 || got.GivenEvicted != 2 || got.GivenExpired != 0 {
		t.Errorf("got %+v, want 1 entry, 2 given, 2 of these evicted", got)
	}
	now = now.Add(25 * time.Hour)
	record(10)
	if got := s.Stats(); got.FeedbackEntries != 1 || got.Given != 0 || got.GivenExpired != 2 {
		t.Errorf("got %+v, want 1 entry, none given, 2 of these expired", got)
	}
}
