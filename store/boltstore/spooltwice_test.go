package boltstore

import (
	"context"
	"sync"
	"testing"

	"apnsbridge/store"
)

// Nothing that is done can be taken again, however a read of a queue coincides with
// the commit that deletes from it.
func TestDoneIsNotTakenAgain(t *testing.T) {
	s := openTestSpool(t, t.TempDir(), Options{})
	line := store.Line{App: "mail", Environment: "production"}
	token := []byte("device")
	const count = 1500
	records := make([]store.SpoolRecord, count)
	for i := range records {
		records[i] = store.SpoolRecord{SpoolKey: store.SpoolKey{Queued: true, Token: token}, Body: []byte("{}")}
	}
	ctx := context.Background()
	if err := s.Put(ctx, store.SpoolBatch{Line: line, Records: records}); err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		s.Return(line, r.SpoolKey)
	}
	var mu sync.Mutex
	given := make(map[uint64]int)
	twice := false
	over := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return twice || len(given) == count
	}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { // reads take long, so that changes come in between
			for !over() {
				got, err := s.TakeOf(ctx, line, token, 40, 1<<20)
				if err != nil {
					t.Error(err)
					return
				}
				for _, r := range got {
					mu.Lock()
					given[r.ID]++
					twice = twice || given[r.ID] > 1
					mu.Unlock()
					s.Done(line, r.SpoolKey)
				}
			}
		})
	}
	wg.Go(func() {
		for !over() {
			if err := s.Flush(ctx); err != nil {
				t.Error(err)
				return
			}
		}
	})
	wg.Wait()
	for id, n := range given {
		if n != 1 {
			t.Errorf("record %d was given %d times", id, n)
		}
	}
}

// A segment between two others is removed while Sample holds a record of it, and these two
// become one: what was done is not returned by Sample.
func TestDoneBetweenSegmentsIsNotGivenAgain(t *testing.T) {
	s := openTestSpool(t, t.TempDir(), Options{SpoolBytes: 4 << 20, SpoolDevice: 1 << 40}) // segments of 64 KiB
	const count, kept = 3_000, 10
	var keys []store.SpoolKey
	for from := 0; from < count; from += count / 3 { // each fills a segment
		records := spoolRecords(from, count/3)
		if err := s.Put(ctx, store.SpoolBatch{Line: mailLine, Records: records}); err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			keys = append(keys, r.SpoolKey)
		}
	}
	s.Return(mailLine, keys...)
	seen := 0
	list, err := s.Sample(ctx, mailLine, 1, func([]byte) bool {
		if seen++; seen == count { // all of the segments have been read
			if all, err := s.Take(ctx, mailLine, count, 1<<30); len(all) != count || err != nil {
				t.Fatalf("took %d, error %v", len(all), err)
			}
			s.Return(mailLine, append(keys[:kept:kept], keys[count-kept:]...)...)
			s.Done(mailLine, keys[count/3:2*count/3]...)
			for range 2 { // marks what is done, and removes the segments in which all is
				if err := s.Flush(ctx); err != nil {
					t.Fatal(err)
				}
			}
			s.Done(mailLine, append(keys[kept:count/3:count/3], keys[2*count/3:count-kept]...)...)
			s.makeRoom(8)
		}
		return seen == count/2
	})
	if err != nil || len(list) != 0 {
		t.Errorf("sampled %d, error %v: want none, for it is done", len(list), err)
	}
	if got := s.Waiting(mailLine); got != 2*kept {
		t.Errorf("%d wait, want %d", got, 2*kept)
	}
}
