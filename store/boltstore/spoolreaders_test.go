package boltstore

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"apnsbridge/store"
)

// Several read of one line, at its head and from anywhere, while others put into it and
// segments are written anew below them, with tokens and topics of any bytes that are allowed:
// each record is in one hand at a time, ends once, and leaves nothing behind.
func TestManyReaders(t *testing.T) {
	t.Parallel()
	for _, count := range []int{1, 17, 20_000} {
		t.Run(fmt.Sprint(count), func(t *testing.T) {
			s := openTestSpool(t, t.TempDir(), Options{SpoolBytes: 4 << 20, SpoolDevice: 1 << 40}) // segments of 64 KiB
			lines := []store.Line{mailLine, {App: "mail", Environment: "production", Topic: "com.\u2028\n\u007f é"}}
			var mu sync.Mutex
			held, ended, put := make(map[uint64]bool), 0, 0
			take := func(list []store.SpoolRecord) {
				mu.Lock()
				defer mu.Unlock()
				for _, r := range list {
					if held[r.ID] {
						t.Errorf("%d is in two hands", r.ID)
					}
					held[r.ID] = true
				}
			}
			let := func(list []store.SpoolRecord, over bool) (keys []store.SpoolKey) {
				mu.Lock()
				defer mu.Unlock()
				for _, r := range list {
					if delete(held, r.ID); over {
						ended++
					}
					keys = append(keys, r.SpoolKey)
				}
				return keys
			}
			over := func() bool {
				mu.Lock()
				defer mu.Unlock()
				return ended >= 2*count
			}
			var working sync.WaitGroup
			for i, l := range lines {
				working.Go(func() { // puts
					for from := 0; from < count; from += 500 {
						list := spoolRecords(from, min(500, count-from))
						for k := range list {
							list[k].Token = append([]byte{0, 0xff, byte(i), '\n'}, list[k].Token[len("device "):]...)
							list[k].Queued = k%50 == 49
						}
						if err := s.Put(ctx, store.SpoolBatch{Line: l, Records: list}); err != nil {
							t.Error(err)
							return
						}
						mu.Lock()
						put += len(list)
						mu.Unlock()
						var keys []store.SpoolKey
						for _, r := range list {
							keys = append(keys, r.SpoolKey)
						}
						s.Return(l, keys...)
					}
				})
				for reader := range 3 {
					working.Go(func() {
						r := rand.New(rand.NewPCG(uint64(reader), 1))
						for !over() && !t.Failed() {
							var list []store.SpoolRecord
							var err error
							switch {
							case reader == 0:
								devices, failed := s.Devices(ctx, l, nil, 20)
								for _, d := range devices {
									more, _ := s.TakeOf(ctx, l, d.Token, 4, 1<<20)
									list = append(list, more...)
								}
								err = failed
							case r.IntN(4) == 0:
								list, err = s.Sample(ctx, l, 64, func([]byte) bool { return r.IntN(2) == 0 })
							default:
								list, err = s.Take(ctx, l, 1+r.IntN(300), 1<<20)
							}
							if err != nil {
								t.Error(err)
								return
							}
							take(list)
							back := list[:r.IntN(1+len(list)/4)]
							s.Return(l, let(back, false)...)
							s.Done(l, let(list[len(back):], true)...)
						}
					})
				}
			}
			working.Go(func() {
				for !over() && !t.Failed() {
					s.makeRoom(32)
				}
			})
			working.Wait()
			if ended != 2*count {
				t.Errorf("%d have ended of %d: some were given twice", ended, 2*count)
			}
			if err := s.Flush(ctx); err != nil {
				t.Error(err)
			}
			if got := s.Stats(); len(got.Lines) != 0 || got.Broken != 0 || s.Waiting(lines[0])+s.Waiting(lines[1]) != 0 {
				t.Errorf("%d were put, and %d have ended: %+v", put, ended, got)
			}
			for _, l := range lines {
				if whole, broken := takeAll(t, openTestSpool(t, copyOf(t, s), Options{}), l); len(whole)+len(broken) != 0 {
					t.Errorf("behind a kill %d whole and %d broken ones come again", len(whole), len(broken))
				}
			}
		})
	}
}
