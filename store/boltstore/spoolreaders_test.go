package boltstore

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"apnsbridge/store"
)

// readers is what those that read and write two lines of a spool at the same time have in common.
type readers struct {
	t     *testing.T
	spool *Spool
	lines []store.Line
	each  int // records for each line

	mu         sync.Mutex
	held       map[uint64]bool
	put, ended int
}

// hold notes records that were taken. None may be held already.
func (w *readers) hold(list []store.SpoolRecord) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range list {
		if w.held[r.ID] {
			w.t.Errorf("record %d is checked out twice", r.ID)
		}
		w.held[r.ID] = true
	}
}

// letGo notes that records are about to be returned or, with over, done.
func (w *readers) letGo(list []store.SpoolRecord, over bool) []store.SpoolKey {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range list {
		if delete(w.held, r.ID); over {
			w.ended++
		}
	}
	return store.KeysOf(list)
}

// over reports whether all records have ended, or the test has failed.
func (w *readers) over() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ended >= w.each*len(w.lines) || w.t.Failed()
}

// write puts the records of a line, some of them into queues. Their tokens have bytes of all kinds.
func (w *readers) write(number byte, l store.Line) {
	const together = 500
	for from := 0; from < w.each; from += together {
		list := spoolRecords(from, min(together, w.each-from))
		for k := range list {
			list[k].Token = append([]byte{0, 0xff, number, '\n'}, list[k].Token[len("device "):]...)
			list[k].Queued = k%50 == 49
		}
		if err := w.spool.Put(ctx, store.SpoolBatch{Line: l, Records: list}); err != nil {
			w.t.Error(err)
			return
		}
		w.mu.Lock()
		w.put += len(list)
		w.mu.Unlock()
		w.spool.Return(l, store.KeysOf(list)...)
	}
}

// read takes records of a line, returns some and ends the others, until all have ended. Of several
// readers the first one reads queues, and the others the log.
func (w *readers) read(reader int, l store.Line) {
	r := rand.New(rand.NewPCG(uint64(reader), 1))
	for !w.over() {
		list, err := w.takeSome(reader == 0, l, r)
		if err != nil {
			w.t.Error(err)
			return
		}
		if len(list) == 0 {
			time.Sleep(time.Millisecond) // between two looks: others have all that is there
			continue
		}
		w.hold(list)
		back := list[:r.IntN(1+len(list)/4)]
		w.spool.Return(l, w.letGo(back, false)...)
		w.spool.Done(l, w.letGo(list[len(back):], true)...)
	}
}

// takeSome takes records of a line from its queues, or from the head of its log or anywhere in it.
func (w *readers) takeSome(queues bool, l store.Line, r *rand.Rand) (list []store.SpoolRecord, err error) {
	switch {
	case queues:
		devices, err := w.spool.Devices(ctx, l, nil, 20)
		for _, d := range devices {
			more, _ := w.spool.TakeOf(ctx, l, d.Token, 4, 1<<20)
			list = append(list, more...)
		}
		return list, err
	case r.IntN(4) == 0:
		return w.spool.Sample(ctx, l, 64, func([]byte) bool { return r.IntN(2) == 0 })
	default:
		return w.spool.Take(ctx, l, 1+r.IntN(300), 1<<20)
	}
}

// checkEmpty checks that all records have ended, once, and nothing is left, even after a kill.
func (w *readers) checkEmpty() {
	if all := w.each * len(w.lines); w.ended != all {
		w.t.Errorf("%d records have ended, of %d: some were taken twice", w.ended, all)
	}
	if err := w.spool.Flush(ctx); err != nil {
		w.t.Error(err)
	}
	waiting := 0
	for _, l := range w.lines {
		waiting += w.spool.Waiting(l)
	}
	if got := w.spool.Stats(); len(got.Lines) != 0 || got.Broken != 0 || waiting != 0 {
		w.t.Errorf("%d were put, and %d have ended: %+v", w.put, w.ended, got)
	}
	for _, l := range w.lines {
		again := openTestSpool(w.t, copyOf(w.t, w.spool), Options{})
		if whole, broken := takeAll(w.t, again, l); len(whole)+len(broken) != 0 {
			w.t.Errorf("after a kill %d whole and %d broken records come back", len(whole), len(broken))
		}
	}
}

// Several readers take from a line, at its head and from anywhere, while others put into it and segments
// are rewritten beneath them. Tokens and topics have any bytes that are allowed. Each record is held by
// one reader at a time, ends once, and leaves nothing behind.
func TestManyReaders(t *testing.T) {
	t.Parallel()
	for _, count := range []int{1, 17, 20_000} {
		t.Run(fmt.Sprint(count), func(t *testing.T) {
			w := &readers{
				t: t, each: count, held: make(map[uint64]bool),
				spool: openTestSpool(t, t.TempDir(), Options{SpoolBytes: 4 << 20, SpoolDevice: 1 << 40}), // segments of 64 KiB
				lines: []store.Line{mailLine, {App: "mail", Environment: "production", Topic: "com.\u2028\n\u007f é"}},
			}
			var working sync.WaitGroup
			for i, l := range w.lines {
				working.Go(func() { w.write(byte(i), l) })
				for reader := range 3 {
					working.Go(func() { w.read(reader, l) })
				}
			}
			working.Go(func() {
				for !w.over() {
					w.spool.makeRoom(32)
				}
			})
			working.Wait()
			w.checkEmpty()
		})
	}
}
