package boltstore

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"apnsbridge/store"
	"apnsbridge/store/boltstore/seglog"
)

// history is a spool that several readers and writers use at once, as far as one goroutine can
// play that: what happens in the middle of a Sample, or while a segment is rewritten, is random.
type history struct {
	*testing.T
	*rand.Rand
	s       *Spool
	put     int
	hands   map[uint64]store.SpoolRecord
	queued  map[uint64]bool
	expires map[uint64]bool
	ended   map[uint64]bool // done
	depth   int
	midst   bool // of cleaning: nothing that takes the cleaning lock may be called
}

// However readers, movers and cleaners interleave, each record is checked out only once at a
// time, can be taken until it is done and not after that, and is counted.
func TestSpoolInterleaved(t *testing.T) {
	t.Parallel()
	rounds := 4
	if *long {
		rounds = 400
	}
	for round := range rounds {
		h := &history{
			T: t, Rand: rand.New(rand.NewPCG(*seed, uint64(round))), hands: make(map[uint64]store.SpoolRecord),
			queued: make(map[uint64]bool), expires: make(map[uint64]bool), ended: make(map[uint64]bool),
		}
		armed := false // Clean is at work: other steps happen in between, when it asks for the time

		// Segments of 16 KiB.
		h.s = openTestSpool(t, t.TempDir(), Options{SpoolBytes: 1 << 20, SpoolDevice: 1 << 40})
		close(h.s.quit)
		<-h.s.ended // its background work: only the history flushes it
		h.s.quit = make(chan struct{})
		h.s.bounds.total, h.s.bounds.common = 1<<40, 1<<40 // no Put has to clean
		expire := h.s.log.Expire
		h.s.log.Expire = func(f seglog.Frame) bool {
			if h.midst && h.IntN(20) == 0 {
				h.nested()
			}
			return expire(f)
		}
		h.s.log.Now = func() time.Time {
			if armed {
				armed = false
				h.nested()
				armed = true
			}
			return time.Now()
		}
		for range 300 {
			if h.IntN(6) == 0 {
				h.s.cleaning.Lock()
				h.midst = true
				if h.IntN(3) == 0 {
					h.s.log.DropExpired()
				} else {
					h.s.log.Roll()
					armed = true
					h.s.log.Clean(32)
					armed = false
				}
				h.midst = false
				h.s.cleaning.Unlock()
			}
			h.step()
			h.check(round)
			if t.Failed() {
				t.FailNow()
			}
		}
		h.drain()
		h.check(round)
		h.s.Close()
	}
}

func (h *history) nested() {
	if h.depth < 3 {
		h.depth++
		for range h.IntN(8) {
			h.step()
		}
		h.depth--
	}
}

func (h *history) have(list []store.SpoolRecord, err error) {
	if err != nil {
		h.Fatal(err)
	}
	for _, r := range list {
		if _, held := h.hands[r.ID]; held || h.ended[r.ID] || r.Broken != nil || r.Queued != h.queued[r.ID] {
			h.Errorf("%d was taken: held %v, done %v, broken %v, queued %v", r.ID, held, h.ended[r.ID], r.Broken, r.Queued)
		}
		h.hands[r.ID] = r
	}
}

// some returns some of the records that are checked out.
func (h *history) some() (list []store.SpoolRecord) {
	var ids []uint64
	for id := range h.hands {
		ids = append(ids, id)
	}
	if slices.Sort(ids); len(ids) == 0 {
		return nil
	}
	from := h.IntN(len(ids))
	for _, id := range ids[from : from+1+h.IntN(len(ids)-from)] {
		list = append(list, h.hands[id])
	}
	return list
}

func (h *history) step() {
	switch h.IntN(12) {
	case 0, 1:
		if h.put > 4_000 {
			return
		}
		list := spoolRecords(h.put, 1+h.IntN(100))
		for i := range list {
			list[i].Token = []byte{byte(h.IntN(60))}
			list[i].Body = append(list[i].Body, make([]byte, h.IntN(300))...)
			list[i].Queued = h.IntN(5) == 0
			if !list[i].Queued && h.IntN(6) == 0 {
				list[i].Expires = 1
			}
		}
		h.put += len(list)
		if err := h.s.Put(ctx, store.SpoolBatch{Line: mailLine, Records: list}); err != nil {
			h.Fatal(err)
		}
		for _, r := range list {
			h.hands[r.ID], h.queued[r.ID], h.expires[r.ID] = r, r.Queued, r.Expires != 0
		}
	case 2:
		h.have(h.s.Take(ctx, mailLine, 1+h.IntN(200), 1<<20))
	case 3:
		h.have(h.s.TakeOf(ctx, mailLine, []byte{byte(h.IntN(60))}, 1+h.IntN(20), 1<<20))
	case 4, 5, 6:
		h.have(h.s.Sample(ctx, mailLine, 1+h.IntN(40), func([]byte) bool {
			if h.IntN(10) == 0 {
				h.nested()
			}
			return h.IntN(3) > 0
		}))
	case 7, 8:
		list := h.some()
		for _, r := range list {
			delete(h.hands, r.ID)
		}
		h.s.Return(mailLine, store.KeysOf(list)...)
	case 9:
		list := h.some()
		for _, r := range list {
			delete(h.hands, r.ID)
			h.ended[r.ID] = true
		}
		h.s.Done(mailLine, store.KeysOf(list)...)
	case 10:
		list := h.some()
		list = slices.DeleteFunc(list[:min(len(list), 20)], func(r store.SpoolRecord) bool { return r.Queued })
		for i := range list {
			list[i].Queued = true
		}
		if err := h.s.Put(ctx, store.SpoolBatch{Line: mailLine, Records: list}); err != nil {
			h.Fatal(err)
		}
		for _, r := range list {
			h.hands[r.ID], h.queued[r.ID] = r, true
		}
	case 11:
		if h.midst {
			return
		}
		if h.IntN(2) == 0 {
			h.s.makeRoom(32)
		} else if err := h.s.Flush(ctx); err != nil {
			h.Fatal(err)
		}
	}
}

// check compares the counts with what should be there.
func (h *history) check(round int) {
	h.Helper()
	there := h.put - len(h.ended) - int(h.s.Stats().Expired)
	logged := 0
	for _, r := range h.hands {
		if !r.Queued {
			logged++
		}
	}
	got := 0
	for _, w := range h.s.Stats().Lines {
		got += w.Log + w.Queued
		if waits := h.s.Waiting(mailLine); waits != w.Log-logged {
			h.Errorf("round %d: %d wait, with %d in the log, %d of them checked out", round, waits, w.Log, logged)
		}
	}
	if got != there {
		h.Errorf("round %d: %d are counted, and %d were put and not done", round, got, there)
	}
	if h.IntN(40) != 0 {
		return
	}
	if err := h.s.Flush(ctx); err != nil {
		h.Fatal(err)
	}
	behind := openTestSpool(h.T, copyOf(h.T, h.s), Options{})
	whole, broken := takeAll(h.T, behind, mailLine)
	for _, r := range whole {
		if h.ended[r.ID] || r.Queued != h.queued[r.ID] {
			h.Errorf("round %d: after a kill record %d is there; done %v, queued %v", round, r.ID, h.ended[r.ID], r.Queued)
		}
	}
	if len(whole) != there || len(broken) != 0 {
		h.Errorf("round %d: after a kill %d are whole and %d broken, want %d", round, len(whole), len(broken), there)
	}
	behind.Close()
}

// drain returns what is checked out, and then takes and ends everything.
func (h *history) drain() {
	held := h.some()
	for len(h.hands) > 0 {
		for _, r := range held {
			delete(h.hands, r.ID)
		}
		h.s.Return(mailLine, store.KeysOf(held)...)
		held = h.some()
	}
	whole, broken := takeAll(h.T, h.s, mailLine)
	h.have(whole, nil)
	if left := h.put - len(h.ended) - int(h.s.Stats().Expired); len(whole) != left || len(broken) != 0 {
		h.Errorf("got %d whole and %d broken records at the end, want %d", len(whole), len(broken), left)
	}
	for _, r := range whole {
		delete(h.hands, r.ID)
		h.ended[r.ID] = true
	}
	h.s.Done(mailLine, store.KeysOf(whole)...)
	for range 3 {
		h.s.makeRoom(32)
	}
	if n := h.s.log.Segments(); n > 1 {
		h.Errorf("%d segments are left without a record", n)
	}
}
