package boltstore

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"apnsbridge/store"
	"apnsbridge/store/storetest"
)

func openLines(t testing.TB, dir string, o Options) *LineSpool {
	t.Helper()
	s, err := OpenLineSpool(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// copyOf is a directory with what is on disk of s now, as a process leaves it that
// is killed.
func copyOf(t testing.TB, s *LineSpool) string {
	t.Helper()
	s.cleaning.Lock()
	defer s.cleaning.Unlock()
	s.writing.Lock()
	defer s.writing.Unlock()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, spoolDir), os.DirFS(s.dir)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// cleaned is a spool that gives back space when it is flushed, and not some time
// after it.
type cleaned struct{ *LineSpool }

func (s *cleaned) Flush(ctx context.Context) error {
	err := s.LineSpool.Flush(ctx)
	s.cleaning.Lock()
	defer s.cleaning.Unlock()
	for s.clean(2) {
	}
	return err
}

func TestLineSpool(t *testing.T) {
	storetest.LineSpool(t, func(t *testing.T) storetest.LinePlace {
		var open *LineSpool
		dir := t.TempDir()
		begin := func(s storetest.Settings) store.LineSpool {
			if open != nil {
				if err := open.Close(); err != nil {
					t.Error(err)
				}
			}
			open = openLines(t, dir, Options{SpoolBytes: s.Spool, SpoolReserve: s.Reserve, Now: s.Now})
			return &cleaned{open}
		}
		return storetest.LinePlace{
			Open: begin,
			Kill: func(s storetest.Settings) store.LineSpool {
				dir = copyOf(t, open)
				return begin(s)
			},
		}
	})
}
