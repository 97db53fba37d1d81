package boltstore

import (
	"context"
	"sync"
	"testing"

	"apnsbridge/store"
)

// Nothing that is done is given again, however a read of a queue meets the commit
// that deletes from it.
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
		wg.Go(func() { // reads long, so that changes meet it
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
