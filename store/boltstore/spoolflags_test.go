package boltstore

import (
	"testing"

	"apnsbridge/store"
)

// A record taken from a queue has the flags of its latest Put, even if the read began before that Put:
// the reader comes to the record late, after many that are checked out.
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
			t.Fatalf("round %d: got %v, want the one with flags %v", round, list, last[0].Flags)
		}
	}
}
