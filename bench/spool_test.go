package bench

import (
	"fmt"
	"sync"
	"testing"

	"apnsbridge/store"
	"apnsbridge/store/boltstore"
)

// spooled is a batch of n notifications with payloads of size bytes.
func spooled(n, size int) store.SpoolBatch {
	batch := store.SpoolBatch{Queue: app + "/production", Records: make([]store.SpoolRecord, n)}
	for i, d := range dead(0, n) {
		batch.Records[i] = store.SpoolRecord{Token: d.Token, Body: make([]byte, size)}
	}
	return batch
}

const waitingQueue = app + "/sandbox"

// openSpool opens a new spool with n notifications in waitingQueue.
func openSpool(b *testing.B, n int) *boltstore.Spool {
	b.Helper()
	s, err := boltstore.Open(b.TempDir(), boltstore.Options{SpoolBytes: 8 << 30})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	batch := spooled(1000, 318)
	batch.Queue = waitingQueue
	for s.Spool().Waiting(waitingQueue) < n {
		if err := s.Spool().Put(ctx, batch); err != nil {
			b.Fatal(err)
		}
		for _, r := range batch.Records {
			s.Spool().Return(waitingQueue, r.ID)
		}
	}
	return s.Spool()
}

// BenchmarkSpool puts notifications of 350 bytes and ends those of the Put before,
// each by itself and by two goroutines, while the next Put is at work.
func BenchmarkSpool(b *testing.B) {
	for _, waiting := range sizes() {
		for _, batch := range []int{1, 64, 256, 1024} {
			b.Run(fmt.Sprintf("waiting=%d/batch=%d", waiting, batch), func(b *testing.B) {
				s := openSpool(b, waiting)
				next, last := spooled(batch, 318), spooled(batch, 318)
				if err := s.Put(ctx, last); err != nil {
					b.Fatal(err)
				}
				before := presentUsage()
				for b.Loop() {
					var ending sync.WaitGroup
					for half := range 2 {
						ending.Go(func() {
							for i := half; i < batch; i += 2 {
								s.Done(last.Queue, last.Records[i].ID)
							}
						})
					}
					if err := s.Put(ctx, next); err != nil {
						b.Fatal(err)
					}
					ending.Wait()
					next, last = last, next
				}
				used := presentUsage().since(before)
				n := float64(b.N * batch)
				b.ReportMetric(n/b.Elapsed().Seconds(), "records/s")
				b.ReportMetric(float64(used.CPU.Nanoseconds())/n, "cpu-ns/record")
				b.ReportMetric(float64(used.Mallocs)/float64(b.N), "allocs/batch")
			})
		}
	}
}

// BenchmarkSpoolTake takes notifications of 350 bytes that wait, and ends them.
func BenchmarkSpoolTake(b *testing.B) {
	for _, waiting := range sizes() {
		b.Run(fmt.Sprintf("waiting=%d", waiting), func(b *testing.B) {
			taken := 0
			for b.Loop() {
				b.StopTimer()
				s := openSpool(b, waiting)
				b.StartTimer()
				for s.Waiting(waitingQueue) > 0 {
					list, err := s.Take(ctx, waitingQueue, 500, 1<<20)
					if err != nil {
						b.Fatal(err)
					}
					taken += len(list)
					for _, r := range list {
						s.Done(waitingQueue, r.ID)
					}
				}
				if err := s.Flush(ctx); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(taken)/b.Elapsed().Seconds(), "records/s")
		})
	}
}
