package boltstore

import (
	"errors"
	"math/rand/v2"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"apnsbridge/store"
	"apnsbridge/store/boltstore/boltfile"
	"apnsbridge/store/storetest"
)

// await waits until done reports true, and fails the test if that takes too long.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("timed out: %s", what)
		}
		time.Sleep(10 * time.Millisecond) // between two looks at a condition
	}
}

// batch returns n devices with consecutive numbers, the first of which is from.
func batch(from, n int) []store.Dead {
	var dead []store.Dead
	for i := range n {
		dead = append(dead, store.Dead{Token: token(from + i), Time: time.Unix(int64(from+i), 0)})
	}
	return dead
}

// On a full disk, changes return an error, except perhaps small ones. What was stored stays, and
// once there is space the store recovers, even if nothing is written.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	disk := storetest.NewDisk(t, 8<<20)
	dir := filepath.Join(disk.Dir, "data")
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	f := s.Feedback()
	if err := f.Record(ctx, "mail", batch(0, 1000)...); err != nil {
		t.Fatal(err)
	}
	disk.Fill()
	for range 3 {
		err := f.Record(ctx, "mail", batch(1000, 20_000)...)
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("got %v, want %v", err, syscall.ENOSPC)
		}
		sentence(t, err, filepath.Join(dir, fileName), "no space left on device")
	}
	if err := s.Failing(); err != syscall.ENOSPC {
		t.Errorf("got %v, want %v", err, syscall.ENOSPC)
	}
	// A change that removes a record may find room, which proves nothing.
	if err := f.Forget(ctx, "mail", batch(0, 1)...); err == nil && s.Failing() == nil {
		t.Error("a small change has ended the failure")
	}
	failures := s.Stats().Failures
	await(t, "the store tries again by itself", func() bool { return s.Stats().Failures > failures })
	if got := s.Stats(); got.Failing == 0 || f.Listed("mail", token(1500)) || !f.Listed("mail", token(500)) {
		t.Errorf("got %+v, want it failing, and memory as it was", got)
	}
	disk.Free()
	await(t, "the store recovers", func() bool { return s.Failing() == nil })
	if got := s.Stats(); got.Failing != 0 {
		t.Errorf("got %+v, want it to have recovered", got)
	}
	if err := f.Record(ctx, "mail", batch(1000, 20_000)...); err != nil {
		t.Error(err)
	}
	list, err := f.Pending(ctx, "mail", 0, 30_000)
	if want := 21_000; err != nil || len(list) < want-1 || len(list) > want {
		t.Errorf("got %d entries and error %v, want %d, or one less", len(list), err, want)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	consistent(t, filepath.Join(dir, fileName))
}

// Whenever the disk fills, what was reported as written is there afterwards, and nothing else.
func TestDiskFullAtRandom(t *testing.T) {
	t.Parallel()
	rounds := 80
	if *long {
		rounds = 5000
	}
	disk := storetest.NewDisk(t, 16<<20)
	dir := filepath.Join(disk.Dir, "data")
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { s.Close() }()
	r := rand.New(rand.NewPCG(*seed, 1))
	full, failed, written := false, 0, make(map[string]bool)
	for n := range rounds {
		if r.IntN(4) == 0 {
			if full = !full; full {
				disk.Fill()
			} else {
				disk.Free()
			}
		}
		var err error
		change := batch(100*r.IntN(200), 1+r.IntN(500))
		record := r.IntN(3) > 0
		if record {
			err = s.Feedback().Record(ctx, "mail", change...)
		} else {
			err = s.Feedback().Forget(ctx, "mail", change...)
		}
		switch {
		case errors.Is(err, syscall.ENOSPC) && full:
			failed++
			continue
		case err != nil:
			t.Fatalf("round %d: %v", n, err)
		}
		for _, d := range change {
			if record {
				written[string(d.Token)] = true
			} else {
				delete(written, string(d.Token))
			}
		}
		if n%50 == 0 && !full {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if s, err = Open(dir, Options{FeedbackAge: 100 * 365 * 24 * time.Hour}); err != nil {
				t.Fatal(err)
			}
		}
		list, err := s.Feedback().Pending(ctx, "mail", 0, 1<<20)
		if err != nil || len(list) != len(written) {
			t.Fatalf("round %d: got %d entries and error %v, want %d", n, len(list), err, len(written))
		}
		for _, d := range list {
			if !written[string(d.Token)] {
				t.Fatalf("round %d: %x is listed, but was not written", n, d.Token)
			}
		}
	}
	if failed == 0 {
		t.Error("the disk was never full")
	}
	t.Logf("%d of %d changes failed", failed, rounds)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	consistent(t, filepath.Join(dir, fileName))
}

func TestOpenReadOnly(t *testing.T) {
	disk := storetest.NewDisk(t, 8<<20)
	fill(t, disk.Dir, 10)
	disk.ReadOnly()
	_, err := Open(disk.Dir, Options{})
	sentence(t, err, filepath.Join(disk.Dir, fileName), "cannot be written: read-only file system: name a directory")
	if damaged, err := boltfile.Damaged(disk.Dir); len(damaged) > 0 || err != nil {
		t.Errorf("got %v and error %v, want none set aside", damaged, err)
	}
}
