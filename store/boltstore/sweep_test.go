package boltstore

import (
	"errors"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"apnsbridge/store"
)

// Few records that wait do not keep the space of the thousands that came with them.
func TestSqueeze(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	dir, o := t.TempDir(), Options{SpoolBytes: 2_230_000, Now: func() time.Time { return now }}
	st, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	s := st.Spool()
	var ids []uint64
	for i := range 4 {
		ids = append(ids, putAll(t, s, waiting(1000*i, 1000, 450))...)
	}
	// Of each blob 10 records stay: of the first two in our hands, of the others in
	// nobody's.
	var stay []uint64
	for i, id := range ids {
		if i%100 == 50 {
			stay = append(stay, id)
		} else {
			s.Done(testQueue, id)
		}
	}
	s.Return(testQueue, stay[20:]...)
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	before := s.Stats().Bytes
	more := waiting(4000, 1000, 450)
	ids = putAll(t, s, more)
	if got := s.Stats(); got.Bytes >= before || got.Out != 1020 || got.Waiting != 20 {
		t.Errorf("got %+v, want less than %d bytes", got, before)
	}
	// What is done now leaves with the next one, a second later.
	now = now.Add(time.Second)
	s.Done(testQueue, ids[1:]...)
	for i := range 3 {
		putAll(t, s, waiting(5000+1000*i, 1000, 450))
	}
	for range 3 {
		if err := s.Put(ctx, waiting(5000, 1000, 450)); !errors.Is(err, store.ErrSpoolFull) {
			t.Fatalf("got %v, want %v", err, store.ErrSpoolFull)
		}
		now = now.Add(time.Hour)
	}
	if got := takeAll(t, s, testQueue); len(got) != 20 || got[0].ID != stay[20] {
		t.Errorf("got %d records, want 20", len(got))
	}
	bytes := s.Stats().Bytes
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}

	path := filepath.Join(dir, spoolFileName)
	consistent(t, path)
	if _, result := salvaged(t, path); result.Records != 3041 || result.Doubtful+result.Lost > 0 {
		t.Errorf("salvaged %+v, want 3,041 records", result)
	}
	s = openSpool(t, dir, o)
	if got := s.Stats(); got.Bytes != bytes || got.Waiting != 3041 {
		t.Errorf("got %+v, want %d bytes and 3,041 records", got, bytes)
	}
	for i, r := range takeAll(t, s, testQueue) {
		want := 50 + 100*i
		if i == 40 {
			want = 4000
		}
		if i < 41 && (number(t, r) != want || len(r.Body) != 450 || string(r.Token) != string(token(want))) {
			t.Fatalf("got %.10q as record %d, want %d", r.Body, i, want)
		}
		s.Done(testQueue, r.ID)
	}
	if err := s.Flush(ctx); err != nil || s.Stats().Bytes != 0 {
		t.Errorf("got %d bytes of an empty spool, error %v", s.Stats().Bytes, err)
	}
}

// A full spool in which owners come and go: nothing is lost, and nobody counts bytes
// that are not there.
func TestSpoolFullAtRandom(t *testing.T) {
	rounds := 300
	if *long {
		rounds = 20_000
	}
	now := time.Unix(1_800_000_000, 0)
	s := openSpool(t, t.TempDir(), Options{SpoolBytes: 1 << 20, Now: func() time.Time { return now }})
	r := rand.New(rand.NewPCG(*seed, 9))
	const old = "what nobody takes"
	ours := make(map[int]uint64)
	next, full, left := 0, 0, 0
	for range rounds {
		now = now.Add(500 * time.Millisecond)
		b := waiting(next, 1+r.IntN(300), 500)
		expires := r.IntN(5) == 0
		if expires {
			b.Queue = old
			for i := range b.Records {
				b.Records[i].Expires = now.Add(time.Duration(r.IntN(20)) * time.Second)
			}
		}
		if err := s.Put(ctx, b); errors.Is(err, store.ErrSpoolFull) {
			full++
			b.Records = nil
		} else if err != nil {
			t.Fatal(err)
		}
		next += len(b.Records)
		for _, record := range b.Records {
			if expires {
				left++
				s.Return(old, record.ID)
			} else {
				ours[number(t, record)] = record.ID
			}
		}
		for n, id := range ours {
			if r.IntN(3) == 0 && n%40 > 0 || r.IntN(100) == 0 {
				s.Done(testQueue, id)
				delete(ours, n)
			}
		}
	}
	expired := int(s.Stats().Queues[old].Expired)
	if full == 0 || expired == 0 {
		t.Errorf("it was full %d times, and %d records expired; want some of both", full, expired)
	}
	if got := s.Stats(); got.Out != len(ours) || got.Waiting != left-expired {
		t.Errorf("got %+v, want %d records out and %d waiting", got, len(ours), left-expired)
	}
	for _, id := range ours {
		s.Done(testQueue, id)
	}
	if n, err := s.Purge(ctx, old); n != left-expired || err != nil {
		t.Errorf("got %d records and error %v, want %d", n, err, left-expired)
	}
	if got := s.Stats(); got.Bytes != 0 || got.Out+got.Waiting != 0 {
		t.Errorf("got %+v, want it empty", got)
	}
	t.Logf("%d of %d Puts found it full, %d records expired", full, rounds, expired)
}
