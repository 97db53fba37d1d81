package boltstore

import (
	"errors"
	"math/rand/v2"
	"syscall"
	"testing"

	"apnsbridge/store"
	"apnsbridge/store/storetest"
)

// The disk fills and empties at any moment: what was put is there, once, what was not is not
// there, and neither while the process runs nor behind a kill does that change.
func TestSpoolDiskFullAtRandom(t *testing.T) {
	t.Parallel()
	rounds := 400
	if *long {
		rounds = 20_000
	}
	disk := storetest.NewDisk(t, 12<<20)
	s := openTestSpool(t, disk.Dir, Options{SpoolBytes: 64 << 20, SpoolDevice: 1 << 40})
	r := rand.New(rand.NewPCG(*seed, 11))
	held, over := make(map[int]store.SpoolRecord), make(map[int]bool) // by numbers
	next, full, failed, killed := 0, false, 0, 0
	put := func(list []store.SpoolRecord) bool {
		err := s.Put(ctx, store.SpoolBatch{Line: mailLine, Records: list})
		switch {
		case errors.Is(err, syscall.ENOSPC):
			failed++
		case err != nil:
			t.Fatal(err)
		}
		return err == nil
	}
	some := func(n int) (list []store.SpoolRecord) {
		for _, rec := range held { // in some order
			if n--; n < 0 {
				break
			}
			list = append(list, rec)
		}
		return list
	}
	for round := range rounds {
		switch k := r.IntN(12); {
		case k < 5:
			n := 1 + r.IntN(200)
			list := spoolRecords(next, n)
			for i := range list {
				list[i].Queued = r.IntN(4) == 0
				list[i].Body = append(list[i].Body, make([]byte, r.IntN(1000))...)
			}
			if put(list) {
				for i, rec := range list {
					held[next+i] = rec
				}
			}
			next += n
		case k < 7:
			var move []store.SpoolRecord
			for _, rec := range some(50) {
				if !rec.Queued {
					rec.Queued = true
					move = append(move, rec)
				}
			}
			if put(move) {
				for _, rec := range move {
					held[recordNumber(t, rec)] = rec
				}
			}
		case k < 10:
			for _, rec := range some(len(held) / 2) {
				s.Done(mailLine, rec.SpoolKey)
				delete(held, recordNumber(t, rec))
				over[recordNumber(t, rec)] = true
			}
		case k == 10 && !full:
			disk.Fill()
			full = true
		case full:
			disk.Free()
			full = false
		}
		if round%20 > 0 {
			continue
		}
		flushed := s.Flush(ctx) == nil
		killed++
		again := openTestSpool(t, copyOf(t, s), Options{})
		whole, broken := takeAll(t, again, mailLine)
		seen := make(map[int]bool)
		for _, rec := range whole {
			i := recordNumber(t, rec)
			if _, there := held[i]; seen[i] || !there && (flushed || !over[i]) {
				t.Fatalf("round %d: %d is there behind a kill, twice: %v; flushed: %v, it had ended: %v", round, i, seen[i], flushed, over[i])
			}
			seen[i] = true
		}
		for i := range held {
			if !seen[i] {
				t.Fatalf("round %d: %d is lost behind a kill", round, i)
			}
		}
		if len(broken) > 0 || again.Stats().Broken > 0 {
			t.Fatalf("round %d: %d are broken", round, len(broken))
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if failed == 0 {
		t.Error("no Put has failed")
	}
	t.Logf("%d records, %d Puts failed, %d kills", next, failed, killed)
	if full {
		disk.Free()
	}
	if err := s.Close(); err != nil && !full { // before the disk goes
		t.Error(err)
	}
}
