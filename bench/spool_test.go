package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"apnsbridge/store"
	"apnsbridge/store/boltstore"
)

// linesIn is the line in which most notifications wait.
var linesIn = store.Line{App: app, Environment: "production"}

const (
	lineToken = 32
	lineBody  = 300 - lineToken // bytes, so that a record has 300
)

// spoolBatch returns n notifications of 300 bytes, each for another device.
func spoolBatch(l store.Line, from, n int) store.SpoolBatch {
	batch := store.SpoolBatch{Line: l, Records: make([]store.SpoolRecord, n)}
	for i, d := range dead(from, n) {
		batch.Records[i] = store.SpoolRecord{SpoolKey: store.SpoolKey{Token: d.Token}, Body: make([]byte, lineBody)}
	}
	return batch
}

// again turns the records of a batch into new ones.
func again(b store.SpoolBatch) {
	for i := range b.Records {
		b.Records[i].ID = 0
	}
}

func lineKeys(b store.SpoolBatch) []store.SpoolKey {
	keys := make([]store.SpoolKey, len(b.Records))
	for i := range keys {
		keys[i] = b.Records[i].SpoolKey
	}
	return keys
}

func openTestSpool(b *testing.B, dir string) *boltstore.Spool {
	b.Helper()
	s, err := boltstore.OpenSpool(dir, boltstore.Options{SpoolBytes: 16 << 30})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// fillLines puts n records into a log, where they wait.
func fillLines(b *testing.B, s *boltstore.Spool, n int) {
	b.Helper()
	for from := 0; from < n; from += 1000 {
		batch := spoolBatch(linesIn, from, min(1000, n-from))
		if err := s.Put(ctx, batch); err != nil {
			b.Fatal(err)
		}
		s.Return(linesIn, lineKeys(batch)...)
	}
}

// perRecord reports what a benchmark has used for each of n records.
func perRecord(b *testing.B, before usage, n int) {
	used := presentUsage().since(before)
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "records/s")
	b.ReportMetric(float64(used.CPU.Nanoseconds())/float64(n), "cpu-ns/record")
	b.ReportMetric(float64(used.Mallocs)/float64(n), "allocs/record")
}

// BenchmarkSpoolAppend puts notifications of 300 bytes into the logs of one or more lines
// in a commit and returns them, as for an APNs that cannot be reached.
func BenchmarkSpoolAppend(b *testing.B) {
	for _, c := range []struct{ batch, lines int }{{1, 1}, {64, 1}, {1024, 1}, {1024, 100}} {
		b.Run(fmt.Sprintf("batch=%d/lines=%d", c.batch, c.lines), func(b *testing.B) {
			s := openTestSpool(b, b.TempDir())
			defer s.Close()
			var batches []store.SpoolBatch
			var keys [][]store.SpoolKey
			for i := range c.lines {
				l := store.Line{App: app, Environment: "production", Topic: strconv.Itoa(i)}
				batches = append(batches, spoolBatch(l, i*100, max(1, c.batch/c.lines)))
				keys = append(keys, nil)
			}
			n := c.lines * max(1, c.batch/c.lines)
			before := presentUsage()
			for b.Loop() {
				for i := range batches {
					again(batches[i])
				}
				if err := s.Put(ctx, batches...); err != nil {
					b.Fatal(err)
				}
				for i, batch := range batches {
					keys[i] = keys[i][:0]
					for _, r := range batch.Records {
						keys[i] = append(keys[i], r.SpoolKey)
					}
					s.Return(batch.Line, keys[i]...)
				}
			}
			perRecord(b, before, n*b.N)
		})
	}
}

// BenchmarkSpoolThrough puts notifications, and ends those of the previous Put during the
// next one, which is what spool.mode always does.
func BenchmarkSpoolThrough(b *testing.B) {
	for _, batch := range []int{1, 64, 256, 1024} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			s := openTestSpool(b, b.TempDir())
			defer s.Close()
			next, last := spoolBatch(linesIn, 0, batch), spoolBatch(linesIn, batch, batch)
			if err := s.Put(ctx, last); err != nil {
				b.Fatal(err)
			}
			before := presentUsage()
			for b.Loop() {
				var ending sync.WaitGroup
				for half := range 2 {
					ending.Go(func() {
						for i := half; i < batch; i += 2 {
							s.Done(last.Line, last.Records[i].SpoolKey)
						}
					})
				}
				again(next)
				if err := s.Put(ctx, next); err != nil {
					b.Fatal(err)
				}
				ending.Wait()
				next, last = last, next
			}
			perRecord(b, before, b.N*batch)
		})
	}
}

// BenchmarkSpoolDone ends notifications one by one.
func BenchmarkSpoolDone(b *testing.B) {
	s := openTestSpool(b, b.TempDir())
	defer s.Close()
	batch := spoolBatch(linesIn, 0, 10_000)
	for b.Loop() {
		b.StopTimer()
		again(batch)
		if err := s.Put(ctx, batch); err != nil {
			b.Fatal(err)
		}
		keys := lineKeys(batch)
		b.StartTimer()
		for i := range keys {
			s.Done(linesIn, keys[i])
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(batch.Records)), "ns/record")
}

// BenchmarkSpoolDrain takes all waiting notifications and ends them.
func BenchmarkSpoolDrain(b *testing.B) {
	for _, n := range sizes() {
		b.Run(fmt.Sprintf("waiting=%d", n), func(b *testing.B) {
			taken := 0
			for b.Loop() {
				b.StopTimer()
				s := openTestSpool(b, b.TempDir())
				fillLines(b, s, n)
				b.StartTimer()
				for {
					list, err := s.Take(ctx, linesIn, 500, 1<<20)
					if err != nil {
						b.Fatal(err)
					}
					if len(list) == 0 {
						break
					}
					taken += len(list)
					for _, r := range list {
						s.Done(linesIn, r.SpoolKey)
					}
				}
				if err := s.Flush(ctx); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				s.Close()
				b.StartTimer()
			}
			b.ReportMetric(float64(taken)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// BenchmarkSpoolMove moves notifications to their devices' queues, lists the devices,
// reads the beginning of some queues, and opens the spool again.
func BenchmarkSpoolMove(b *testing.B) {
	const n = 100_000
	var moving, listing, reading, opening time.Duration
	for b.Loop() {
		b.StopTimer()
		dir := b.TempDir()
		s := openTestSpool(b, dir)
		fillLines(b, s, n)
		b.StartTimer()
		from := time.Now()
		for {
			list, err := s.Take(ctx, linesIn, 1024, 1<<20)
			if err != nil {
				b.Fatal(err)
			}
			if len(list) == 0 {
				break
			}
			keys := make([]store.SpoolKey, len(list))
			for i := range list {
				list[i].Queued = true
				keys[i] = list[i].SpoolKey
			}
			if err := s.Put(ctx, store.SpoolBatch{Line: linesIn, Records: list}); err != nil {
				b.Fatal(err)
			}
			s.Return(linesIn, keys...)
		}
		moving += time.Since(from)
		from = time.Now()
		var after []byte
		var all []store.QueuedDevice
		for {
			page, err := s.Devices(ctx, linesIn, after, 1000)
			if err != nil {
				b.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			after = page[len(page)-1].Token
			all = append(all, page...)
		}
		listing += time.Since(from)
		if len(all) != n {
			b.Fatalf("got %d devices, want %d", len(all), n)
		}
		from = time.Now()
		for _, d := range all[:10_000] {
			if list, err := s.TakeOf(ctx, linesIn, d.Token, 2, 1<<20); err != nil || len(list) != 1 {
				b.Fatalf("got %d records and error %v, want 1", len(list), err)
			}
		}
		reading += time.Since(from)
		b.StopTimer()
		s.Close()
		b.StartTimer()
		from = time.Now()
		s = openTestSpool(b, dir)
		opening += time.Since(from)
		s.Close()
	}
	b.ReportMetric(float64(moving.Nanoseconds())/float64(b.N*n), "ns/move")
	b.ReportMetric(float64(listing.Milliseconds())/float64(b.N), "ms/list")
	b.ReportMetric(float64(opening.Milliseconds())/float64(b.N), "ms/open")
	b.ReportMetric(float64(reading.Nanoseconds())/float64(b.N*10_000), "ns/takeOf")
}

// BenchmarkSpoolSample asks for one notification from the beginning of a log.
func BenchmarkSpoolSample(b *testing.B) {
	s := openTestSpool(b, b.TempDir())
	defer s.Close()
	fillLines(b, s, 200_000)
	for b.Loop() {
		list, err := s.Sample(ctx, linesIn, 1, func([]byte) bool { return true })
		if err != nil || len(list) != 1 {
			b.Fatalf("got %d records and error %v, want 1", len(list), err)
		}
		s.Return(linesIn, list[0].SpoolKey)
	}
}

// linesVariable is the environment variable with the directory in which a child of this
// process fills a spool, after which it waits to be killed.
const (
	linesVariable = "APNSBRIDGE_BENCH_LINES"
	linesCount    = "APNSBRIDGE_BENCH_LINES_COUNT"
)

// BenchmarkSpoolOpen opens a spool of waiting notifications, whose process was killed.
func BenchmarkSpoolOpen(b *testing.B) {
	if dir := os.Getenv(linesVariable); dir != "" {
		n, err := strconv.Atoi(os.Getenv(linesCount))
		if err != nil {
			b.Fatal(err)
		}
		fillLines(b, openTestSpool(b, dir), n)
		os.Stdout.WriteString("\nfilled\n")
		select {}
	}
	counts := []int{100_000, 1_000_000}
	if *long {
		counts = append(counts, 10_000_000)
	}
	for _, n := range counts {
		b.Run(fmt.Sprintf("waiting=%d", n), func(b *testing.B) {
			dir := b.TempDir()
			killFilled(b, dir, n)
			anonymous := 0
			for b.Loop() {
				s := openTestSpool(b, dir)
				if got := s.Waiting(linesIn); got != n {
					b.Fatalf("got %d waiting, want %d", got, n)
				}
				b.StopTimer()
				_, err := s.Take(ctx, linesIn, 500, 1<<20)
				if err != nil {
					b.Fatal(err)
				}
				if anonymous, err = anonymousMemory(); err != nil {
					b.Fatal(err)
				}
				s.Close()
				b.StartTimer()
			}
			b.ReportMetric(float64(anonymous)/(1<<20), "RssAnon-MiB")
		})
	}
}

// killFilled starts a child that fills a spool, and kills it.
func killFilled(b *testing.B, dir string, n int) {
	b.Helper()
	within, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	child := exec.CommandContext(within, os.Args[0], "-test.run=^$", "-test.bench=^BenchmarkSpoolOpen$",
		"-test.benchtime=1x")
	child.Env = append(os.Environ(), linesVariable+"="+dir, linesCount+"="+strconv.Itoa(n))
	out, err := child.StdoutPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	said := ""
	for buf := make([]byte, 4096); !strings.Contains(said, "\nfilled\n"); {
		n, err := out.Read(buf)
		if said += string(buf[:n]); err != nil {
			b.Fatalf("the child said %q and then failed: %v", said, err)
		}
	}
	child.Process.Kill()
	child.Wait()
}

// anonymousMemory returns how many bytes of anonymous memory the process has.
func anonymousMemory() (int, error) {
	if _, err := resident(); err != nil { // which returns garbage to the system
		return 0, err
	}
	return presentAnonymous()
}

func presentAnonymous() (int, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(status), "RssAnon:")
	var kib int
	_, err = fmt.Sscan(rest, &kib)
	return kib << 10, err
}
