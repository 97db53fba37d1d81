package boltstore

import (
	"errors"
	"math/rand/v2"
	"syscall"
	"testing"

	"apnsbridge/store"
	"apnsbridge/store/storetest"
)

// fickleDisk is a spool on a disk that is full at times, and what the spool should have.
type fickleDisk struct {
	t     *testing.T
	disk  *storetest.Disk
	spool *Spool
	rand  *rand.Rand

	next   int                       // number of the next record
	held   map[int]store.SpoolRecord // by number
	over   map[int]bool              // by number: done
	full   bool
	failed int // Puts that failed for want of room
}

// put puts records, and reports whether there was room for them.
func (w *fickleDisk) put(list []store.SpoolRecord) bool {
	err := w.spool.Put(ctx, store.SpoolBatch{Line: mailLine, Records: list})
	switch {
	case errors.Is(err, syscall.ENOSPC):
		w.failed++
	case err != nil:
		w.t.Fatal(err)
	}
	return err == nil
}

// some returns up to n of the held records, in any order.
func (w *fickleDisk) some(n int) (list []store.SpoolRecord) {
	for _, rec := range w.held {
		if n--; n < 0 {
			break
		}
		list = append(list, rec)
	}
	return list
}

// putNew puts new records, some of them into queues.
func (w *fickleDisk) putNew() {
	n := 1 + w.rand.IntN(200)
	list := spoolRecords(w.next, n)
	for i := range list {
		list[i].Queued = w.rand.IntN(4) == 0
		list[i].Body = append(list[i].Body, make([]byte, w.rand.IntN(1000))...)
	}
	if w.put(list) {
		for i, rec := range list {
			w.held[w.next+i] = rec
		}
	}
	w.next += n
}

// move moves records from the log to queues.
func (w *fickleDisk) move() {
	var list []store.SpoolRecord
	for _, rec := range w.some(50) {
		if !rec.Queued {
			rec.Queued = true
			list = append(list, rec)
		}
	}
	if w.put(list) {
		for _, rec := range list {
			w.held[recordNumber(w.t, rec)] = rec
		}
	}
}

// end ends half of the held records.
func (w *fickleDisk) end() {
	for _, rec := range w.some(len(w.held) / 2) {
		number := recordNumber(w.t, rec)
		w.spool.Done(mailLine, rec.SpoolKey)
		delete(w.held, number)
		w.over[number] = true
	}
}

// fill fills the disk, or frees it.
func (w *fickleDisk) fill(full bool) {
	if w.full == full {
		return
	}
	if w.full = full; full {
		w.disk.Fill()
	} else {
		w.disk.Free()
	}
}

// checkKilled checks what the spool would have after a kill: everything that is held, once, and nothing
// that was done unless that was not durable yet.
func (w *fickleDisk) checkKilled(round int) {
	w.t.Helper()
	flushed := w.spool.Flush(ctx) == nil
	again := openTestSpool(w.t, copyOf(w.t, w.spool), Options{})
	whole, broken := takeAll(w.t, again, mailLine)
	seen := make(map[int]bool)
	for _, rec := range whole {
		i := recordNumber(w.t, rec)
		if _, there := w.held[i]; seen[i] || !there && (flushed || !w.over[i]) {
			w.t.Fatalf("round %d: %d is there after a kill, twice: %v; flushed: %v, it had ended: %v",
				round, i, seen[i], flushed, w.over[i])
		}
		seen[i] = true
	}
	for i := range w.held {
		if !seen[i] {
			w.t.Fatalf("round %d: %d is lost after a kill", round, i)
		}
	}
	if len(broken) > 0 || again.Stats().Broken > 0 {
		w.t.Fatalf("round %d: %d are broken", round, len(broken))
	}
	if err := again.Close(); err != nil {
		w.t.Fatal(err)
	}
}

// The disk fills and empties at any moment. What was put is there, once, and nothing else is, both while
// the process runs and after a kill.
func TestSpoolDiskFullAtRandom(t *testing.T) {
	t.Parallel()
	rounds, killed := 400, 0
	if *long {
		rounds = 20_000
	}
	disk := storetest.NewDisk(t, 12<<20)
	w := &fickleDisk{
		t: t, disk: disk, rand: rand.New(rand.NewPCG(*seed, 11)),
		spool: openTestSpool(t, disk.Dir, Options{SpoolBytes: 64 << 20, SpoolDevice: 1 << 40}),
		held:  make(map[int]store.SpoolRecord), over: make(map[int]bool),
	}
	for round := range rounds {
		switch k := w.rand.IntN(12); {
		case k < 5:
			w.putNew()
		case k < 7:
			w.move()
		case k < 10:
			w.end()
		default:
			w.fill(k == 10 && !w.full)
		}
		if round%20 == 0 {
			w.checkKilled(round)
			killed++
		}
	}
	if w.failed == 0 {
		t.Error("no Put has failed")
	}
	t.Logf("%d records, %d Puts failed, %d kills", w.next, w.failed, killed)
	wasFull := w.full
	w.fill(false)
	if err := w.spool.Close(); err != nil && !wasFull { // before the disk goes
		t.Error(err)
	}
}
