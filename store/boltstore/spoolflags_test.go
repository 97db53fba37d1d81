package boltstore

import (
	"testing"

	"apnsbridge/store"
)

// A reader that is given a record of a queue gets the flags with which it was last rewritten, even if
// the read began before that Put: after many that are checked out it comes to the record late.
func TestFlagsAreThoseOfTheLastPut(t *testing.T) {
	t.Parallel()
	s := openTestSpool(t, t.TempDir(), Options{})
	token := []byte("device")
	records := make([]store.SpoolRecord, 20_000)
	for i := range records {
		records[i] = store.SpoolRecord{SpoolKey: store.SpoolKey{Queued: true, Token: token}, Body: []byte("{}")}
	}
	putAll(t, s, mailLine, records)
	last := records[len(records)-1:]
	take := func() []store.SpoolRecord {
		list, err := s.TakeOf(ctx, mailLine, token, 1, 1<<20)
		if err != nil {
			t.Error(err)
		}
		return list
	}
	for round := range byte(30) {
		taken := make(chan []store.SpoolRecord)
		go func() { taken <- take() }()
		last[0].Flags[0] = round
		if err := s.Put(ctx, store.SpoolBatch{Line: mailLine, Records: last}); err != nil {
			t.Fatal(err)
		}
		s.Return(mailLine, last[0].SpoolKey)
		list := <-taken
		if len(list) == 0 {
			list = take()
		}
		if len(list) != 1 || list[0].Flags != last[0].Flags {
			t.Fatalf("round %d: given %v, want the one with %v", round, list, last[0].Flags)
		}
	}
}
