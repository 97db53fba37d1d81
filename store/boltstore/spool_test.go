package boltstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"apnsbridge/store"
	"apnsbridge/store/storetest"
)

func openTestSpool(t testing.TB, dir string, o Options) *Spool {
	t.Helper()
	s, err := OpenSpool(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// copyOf returns a directory with what s has on disk now, as a killed process would leave it.
func copyOf(t testing.TB, s *Spool) string {
	t.Helper()
	s.cleaning.Lock()
	defer s.cleaning.Unlock()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, spoolDir), os.DirFS(s.dir)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// cleaned is a spool that frees space in Flush, and not some time later.
type cleaned struct{ *Spool }

func (s *cleaned) Flush(ctx context.Context) error {
	err := s.Spool.Flush(ctx)
	s.cleaning.Lock()
	defer s.cleaning.Unlock()
	for s.log.Clean(2) {
	}
	return err
}

func TestSpool(t *testing.T) {
	t.Parallel()
	storetest.Spool(t, func(t *testing.T) storetest.SpoolPlace {
		var open *Spool
		dir := t.TempDir()
		begin := func(s storetest.Settings) store.Spool {
			if open != nil {
				if err := open.Close(); err != nil {
					t.Error(err)
				}
			}
			open = openTestSpool(t, dir, Options{SpoolBytes: s.Spool, SpoolReserve: s.Reserve, Now: s.Now})
			return &cleaned{open}
		}
		return storetest.SpoolPlace{
			Open: begin,
			Kill: func(s storetest.Settings) store.Spool {
				dir = copyOf(t, open)
				return begin(s)
			},
		}
	})
}

// A queues.db that has grown large is begun anew when it is opened empty, and no ID is assigned
// twice.
func TestQueuesBeginAnew(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openTestSpool(t, dir, Options{SpoolDevice: 1 << 30})
	if !s.begins {
		t.Error("a new spool does not say that it begins")
	}
	list := spoolRecords(0, 300)
	for i := range list {
		list[i].Token, list[i].Queued, list[i].Body = []byte("d"), true, make([]byte, 100_000)
	}
	keys := putAll(t, s, mailLine, list)
	s.Done(mailLine, keys[1:]...)
	for _, large := range []bool{true, false} {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openTestSpool(t, dir, Options{})
		if got := s.queues.Size() > emptyMax; got != large || s.begins {
			t.Errorf("got a large file: %v, begins: %v, want %v and false", got, s.begins, large)
		}
		if whole, _ := takeAll(t, s, mailLine); large {
			s.Done(mailLine, whole[0].SpoolKey)
		} else if len(whole) > 0 {
			t.Errorf("got %d records, want none", len(whole))
		}
	}
	if again := putAll(t, s, mailLine, spoolRecords(0, 1)); again[0].ID <= keys[299].ID {
		t.Errorf("ID %d came after %d", again[0].ID, keys[299].ID)
	}
}

// The allocations of Put and Done do not grow with the number of records.
func TestSpoolAllocs(t *testing.T) {
	s := openTestSpool(t, t.TempDir(), Options{})
	for _, n := range []int{1, 1000} {
		list := spoolRecords(0, n)
		if got := testing.AllocsPerRun(20, func() {
			for i := range list {
				list[i].ID = 0
			}
			putAll(t, s, mailLine, list)
			for i := range list {
				s.Done(mailLine, list[i].SpoolKey)
			}
		}); got > 100 {
			t.Errorf("%d records: got %.0f allocations, want at most 100", n, got)
		}
	}
}

// Lines, which each Put of a fleet's node calls, allocates the list and no more, however many lines there are.
func TestLinesAllocs(t *testing.T) {
	s := openTestSpool(t, t.TempDir(), Options{})
	var batches []store.SpoolBatch
	for i := range 1000 {
		l := store.Line{App: "mail", Environment: "production", Topic: fmt.Sprint("topic ", i)}
		batches = append(batches, store.SpoolBatch{Line: l, Records: spoolRecords(i, 1)})
	}
	if err := s.Put(ctx, batches...); err != nil {
		t.Fatal(err)
	}
	if got := testing.AllocsPerRun(20, func() { s.Lines() }); got > 50 {
		t.Errorf("got %.0f allocations, want those of two lists", got)
	}
}

// After Close every method returns ErrClosed, and nothing else happens.
func TestSpoolClosed(t *testing.T) {
	s := openTestSpool(t, t.TempDir(), Options{})
	s.Return(mailLine, putAll(t, s, mailLine, spoolRecords(0, 1))...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, take := s.Take(ctx, mailLine, 1, 1)
	_, takeOf := s.TakeOf(ctx, mailLine, nil, 1, 1)
	_, sample := s.Sample(ctx, mailLine, 1, func([]byte) bool { return true })
	_, devices := s.Devices(ctx, mailLine, nil, 1)
	for name, err := range map[string]error{
		"Put": s.Put(ctx, store.SpoolBatch{Line: mailLine, Records: spoolRecords(0, 1)}), "Take": take, "TakeOf": takeOf,
		"Sample": sample, "Devices": devices, "Flush": s.Flush(ctx), "Close": s.Close(),
	} {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s: got %v, want %v", name, err, store.ErrClosed)
		}
	}
}
