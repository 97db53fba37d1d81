package boltstore

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"apnsbridge/store"
)

var ctx = context.Background()

// fill makes a store in dir with n entries on each of two lists and n records in the ledger.
func fill(t testing.TB, dir string, n int) {
	t.Helper()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, app := range []string{"mail", "news"} {
		var dead []store.Dead
		for i := range n {
			dead = append(dead, store.Dead{Token: token(i), Time: time.Unix(int64(i), 0)})
		}
		if err := s.Feedback().Record(ctx, app, dead...); err != nil {
			t.Fatal(err)
		}
	}
	var records []store.LedgerRecord
	for i := range n {
		records = append(records, store.LedgerRecord{Key: token(i), Value: make([]byte, 100),
			Expires: time.Now().Add(time.Hour)})
	}
	if err := s.Ledger().Append(ctx, records...); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// token returns tokens that differ in their first bytes, so that they scatter as real ones do.
func token(i int) []byte {
	b := appendU64(nil, uint64(i)*0x9e3779b97f4a7c15)
	return append(b, make([]byte, 24)...)
}

// sentence checks that err reads as an operator should see it: one line, with all of the parts.
func sentence(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("got no error")
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("got %q, want %q in it", err, part)
		}
	}
	if strings.ContainsAny(err.Error(), "\n\r") {
		t.Errorf("got more than one line: %q", err)
	}
}

func TestOpenLocked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(dir, Options{})
	sentence(t, err, filepath.Join(dir, "feedback.db"), "in use by another process")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(dir, Options{}); err != nil {
		t.Fatal(err)
	}
	s.Close()
}

func TestOpenNotAllowed(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, 1)
	path := filepath.Join(dir, "feedback.db")
	t.Run("a file for a directory", func(t *testing.T) {
		_, err := Open(path, Options{})
		sentence(t, err, path, "not a directory")
	})
	t.Run("a directory for a file", func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "feedback.db")
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		_, err := Open(dir, Options{})
		sentence(t, err, path, "is a directory")
	})
	t.Run("no permission", func(t *testing.T) {
		if os.Geteuid() == 0 {
			t.Skip("root may read everything")
		}
		for _, name := range []string{path, dir} {
			if err := os.Chmod(name, 0); err != nil {
				t.Fatal(err)
			}
			_, err := Open(dir, Options{})
			sentence(t, err, path, "cannot be written: permission denied: name a directory")
			if err := os.Chmod(name, 0o700); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestOpenOtherVersion(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, 1)
	edit(t, dir, func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("meta")).Put([]byte("version"), []byte{0, 0, 0, 2})
	})
	_, err := Open(dir, Options{})
	sentence(t, err, filepath.Join(dir, "feedback.db"), "version 2", "version 1")
}

// edit changes the file of a store that is closed.
func edit(t *testing.T, dir string, fn func(*bbolt.Tx) error) {
	t.Helper()
	editFile(t, filepath.Join(dir, "feedback.db"), fn)
}

func editFile(t *testing.T, path string, fn func(*bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Update(fn); err != nil {
		t.Fatal(err)
	}
}

// A well-formed bbolt file with impossible contents is set aside.
func TestOpenInconsistent(t *testing.T) {
	t.Parallel()
	mail := func(tx *bbolt.Tx) *bbolt.Bucket { return tx.Bucket([]byte("feedback")).Bucket([]byte("mail")) }
	for name, damage := range map[string]func(*bbolt.Tx) error{
		"a short entry":            func(tx *bbolt.Tx) error { return mail(tx).Put(appendU64(nil, 1), []byte("short")) },
		"a short key":              func(tx *bbolt.Tx) error { return mail(tx).Put([]byte("key"), make([]byte, 48)) },
		"a revision of the future": func(tx *bbolt.Tx) error { return mail(tx).Put(appendU64(nil, 99), make([]byte, 48)) },
		"a short given entry": func(tx *bbolt.Tx) error {
			given, err := tx.Bucket([]byte("given")).CreateBucket([]byte("mail"))
			if err != nil {
				return err
			}
			return given.Put(appendU64(nil, 1), []byte("short"))
		},
		"a short record":  func(tx *bbolt.Tx) error { return tx.Bucket(ledgerBucket).Put([]byte("key"), []byte("short")) },
		"a short version": func(tx *bbolt.Tx) error { return tx.Bucket([]byte("meta")).Put([]byte("version"), []byte{1}) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			fill(t, dir, 3)
			edit(t, dir, damage)
			isSetAside(t, dir)
		})
	}
}

// isSetAside opens the store of a damaged file, and checks that the file is still there as it was,
// beside a new one that works.
func isSetAside(t *testing.T, dir string) {
	t.Helper()
	path := filepath.Join(dir, "feedback.db")
	was, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1_800_000_000, 0)
	for n, name := range []string{"20270115T080000Z", "20270115T080000Z-2"} { // the same second, twice
		if err := os.WriteFile(path, was, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(dir, Options{Now: func() time.Time { return at }})
		if err != nil {
			t.Fatal(err)
		}
		want := path + ".damaged-" + name
		if n := len(s.SetAside()); n != 1 {
			t.Fatalf("got %d files set aside, want 1", n)
		}
		sentence(t, s.SetAside()[0], path+" is damaged: ", "it is kept as "+want)
		if kept, err := os.ReadFile(want); err != nil || !bytes.Equal(kept, was) {
			t.Errorf("%s has %d bytes, error %v, want the %d there were", want, len(kept), err, len(was))
		}
		if got := s.Stats(); got.DamagedFiles != n+1 || got.FeedbackEntries != 0 {
			t.Errorf("got %+v, want %d damaged files and no entries", got, n+1)
		}
		if err := s.Feedback().Record(ctx, "mail", store.Dead{Token: token(1), Time: at}); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	s, err := Open(dir, Options{Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := s.Stats(); s.SetAside() != nil || got.DamagedFiles != 2 || got.FeedbackEntries != 1 {
		t.Errorf("opened again: got %v and %+v, want the entry of the new file", s.SetAside(), got)
	}
}

// A page that is damaged while the store is open fails the calls that need it, and all calls
// after a failed write, but does not crash the process.
func TestDamageWhileOpen(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, 300)
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "feedback.db")
	b, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	info, err := b.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.WriteAt(make([]byte, info.Size()-2*4096), 2*4096); err != nil {
		t.Fatal(err)
	}
	_, err = s.Feedback().Pending(ctx, "mail", 0, 1000)
	sentence(t, err, path, "is damaged")
	for range 2 {
		err = s.Feedback().Forget(ctx, "mail", store.Dead{Token: token(1), Time: time.Unix(1, 0)})
		sentence(t, err, path, "is damaged")
	}
	sentence(t, s.Close(), path, "is damaged")
	isSetAside(t, dir)
}

func TestClosed(t *testing.T) {
	s, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, pending := s.Feedback().Pending(ctx, "mail", 0, 1)
	for name, err := range map[string]error{
		"Close":   s.Close(),
		"Record":  s.Feedback().Record(ctx, "mail", store.Dead{Token: token(1), Time: time.Unix(1, 0)}),
		"Pending": pending,
		"Append":  s.Ledger().Append(ctx),
	} {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s: got %v, want %v", name, err, store.ErrClosed)
		}
	}
}

// Changes that come while a transaction is under way share the next one.
func TestSharedCommits(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		release := make(chan struct{})
		go s.file.Update(ctx, func(*bbolt.Tx) error { <-release; return nil }, func() {})
		synctest.Wait()
		const writers = 100
		for i := range writers {
			go func() {
				if err := s.Feedback().Record(ctx, "mail", store.Dead{Token: token(i), Time: time.Unix(1, 0)}); err != nil {
					t.Error(err)
				}
			}()
		}
		synctest.Wait()
		close(release)
		synctest.Wait()
		got := s.Stats()
		if got.Commits != 2 || got.Writes != 1+writers || got.FeedbackEntries != writers {
			t.Errorf("got %d writes in %d commits and %d entries, want %d, 2 and %d",
				got.Writes, got.Commits, got.FeedbackEntries, 1+writers, writers)
		}
	})
}

// When a transaction fails, what is in memory stays as it was.
func TestFailedCommit(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(dir, Options{FeedbackEntries: 3})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		f := s.Feedback()
		dead := func(i, seconds int) store.Dead {
			return store.Dead{Token: token(i), Time: time.Unix(int64(seconds), 0)}
		}
		if err := f.Record(ctx, "mail", dead(0, 1), dead(1, 1), dead(2, 1)); err != nil {
			t.Fatal(err)
		}
		if err := f.Forget(ctx, "mail", dead(0, 1)); err != nil {
			t.Fatal(err)
		}
		if err := f.Record(ctx, "mail", dead(3, 1)); err != nil {
			t.Fatal(err)
		}
		release, full := make(chan struct{}), errors.New("disk full")
		go s.file.Update(ctx, func(*bbolt.Tx) error { <-release; return nil }, func() {})
		synctest.Wait()
		for _, change := range []func() error{
			func() error { return f.Record(ctx, "mail", dead(1, 2), dead(4, 1), dead(5, 1)) },
			func() error { return f.Forget(ctx, "mail", dead(2, 1)) },
			func() error { return f.Record(ctx, "news", dead(1, 1)) },
			func() error { _, err := f.Again(ctx, "mail"); return err },
			func() error { return s.file.Update(ctx, func(*bbolt.Tx) error { return full }, func() {}) },
		} {
			go func() {
				if err := change(); !errors.Is(err, full) {
					t.Errorf("got error %v, want %v", err, full)
				}
			}()
			synctest.Wait() // until it waits for the writer
		}
		close(release)
		synctest.Wait()
		for i, want := range []bool{false, true, true, true, false, false} {
			if got := f.listed.has("mail", token(i)); got != want {
				t.Errorf("token %d is listed: got %v, want %v", i, got, want)
			}
			if got, want := f.given.has("mail", token(i)), i == 0; got != want {
				t.Errorf("token %d was given: got %v, want %v", i, got, want)
			}
		}
		if f.Listed("news", token(1)) || f.listed.counts["mail"] != 3 || f.listed.counts["news"] != 0 || f.given.counts["mail"] != 1 {
			t.Errorf("got counts %v and %v, want 3 of mail and 1 given", f.listed.counts, f.given.counts)
		}
		if err := f.Record(ctx, "mail", dead(4, 1)); err != nil {
			t.Error(err)
		}
		if list, err := f.Pending(ctx, "mail", 0, 9); len(list) != 3 || err != nil {
			t.Errorf("got %v and error %v, want 3 entries", list, err)
		}
	})
}

// A device that APNs calls dead again costs no commit.
func TestNoNewsNoCommit(t *testing.T) {
	s, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	d := store.Dead{Token: token(1), Time: time.Unix(1, 0)}
	for range 3 {
		if err := s.Feedback().Record(ctx, "mail", d); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.Stats().Commits; got != 1 {
		t.Errorf("got %d commits, want 1", got)
	}
}
