package boltstore

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"apnsbridge/store"
)

const testQueue = "mail/production"

const unlimited = 1 << 40 // bytes

// openSpool opens the store in dir, which is closed with the test.
func openSpool(t testing.TB, dir string, o Options) *Spool {
	t.Helper()
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
			t.Error(err)
		}
	})
	return s.Spool()
}

// waiting are n records of size bytes that say their numbers, from from on.
func waiting(from, n, size int) store.SpoolBatch {
	b := store.SpoolBatch{Queue: testQueue, Records: make([]store.SpoolRecord, n)}
	for i := range b.Records {
		body := make([]byte, size)
		copy(body, strconv.Itoa(from+i))
		b.Records[i] = store.SpoolRecord{Token: token(from + i), Body: body}
	}
	return b
}

func putAll(t testing.TB, s *Spool, batches ...store.SpoolBatch) (ids []uint64) {
	t.Helper()
	if err := s.Put(ctx, batches...); err != nil {
		t.Fatal(err)
	}
	for _, b := range batches {
		for _, r := range b.Records {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

func takeAll(t testing.TB, s *Spool, queue string) (list []store.SpoolRecord) {
	t.Helper()
	list, err := s.Take(ctx, queue, math.MaxInt, unlimited)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// commits runs fn and says how many transactions there were.
func (s *Spool) commitsOf(fn func()) uint64 {
	before := s.file.commits.Load()
	fn()
	return s.file.commits.Load() - before
}

// What is done goes with the next Put, or by itself after 50 ms.
func TestSpoolFlush(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := openSpool(t, dir, Options{})
		ids := putAll(t, s, waiting(0, 10, 100))
		more := waiting(10, 10, 100)
		for _, tt := range []struct {
			name string
			do   func()
			want uint64
		}{
			{"nothing", func() { time.Sleep(time.Hour) }, 0},
			{"nobody's records", func() { s.Done(testQueue, 7, 8); time.Sleep(time.Hour) }, 0},
			{"before", func() { s.Done(testQueue, ids[:2]...); time.Sleep(flushWait - 1); synctest.Wait() }, 0},
			{"after", func() { time.Sleep(time.Nanosecond); synctest.Wait() }, 1},
			{"once", func() { time.Sleep(time.Hour) }, 0},
			{"with a put", func() { s.Done(testQueue, ids[2:4]...); putAll(t, s, more); time.Sleep(time.Hour) }, 1},
			{"when asked", func() { s.Done(testQueue, ids[4]); s.Flush(ctx); s.Flush(ctx); time.Sleep(time.Hour) }, 1},
			{"all", func() { s.Done(testQueue, ids...); time.Sleep(flushWait); synctest.Wait() }, 1},
		} {
			if got := s.commitsOf(tt.do); got != tt.want {
				t.Errorf("%s: got %d transactions, want %d", tt.name, got, tt.want)
			}
		}
	})
}

// While Puts take along what is done there is no transaction for that alone.
func TestSpoolFlushBesidePuts(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := openSpool(t, dir, Options{})
		const rounds = 50
		if got := s.commitsOf(func() {
			for i := range rounds {
				ids := putAll(t, s, waiting(i, 1, 10))
				time.Sleep(flushWait / 5)
				s.Done(testQueue, ids...)
			}
			time.Sleep(2 * flushWait)
			synctest.Wait()
		}); got != rounds+1 {
			t.Errorf("got %d transactions, want %d", got, rounds+1)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.held.queues) != 0 || s.held.bytes != 0 {
			t.Errorf("got %d queues and %d bytes of an empty spool", len(s.held.queues), s.held.bytes)
		}
	})
}

// A transaction that fails leaves nothing of its Puts, and what was done goes with
// a later one.
func TestSpoolFailedCommit(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := openSpool(t, dir, Options{})
		first := putAll(t, s, waiting(0, 10, 100))
		second := putAll(t, s, waiting(10, 10, 100))
		bytes := s.Stats().Bytes
		s.Done(testQueue, first...)
		s.Done(testQueue, second[:5]...)

		release, full := make(chan struct{}), errors.New("disk full")
		go s.file.update(ctx, func(*bbolt.Tx) error { <-release; return nil }, func() {})
		synctest.Wait()
		for _, change := range []func() error{
			func() error { return s.Put(ctx, waiting(20, 10, 100)) },
			func() error { return s.Flush(ctx) },
			func() error {
				return s.Put(ctx, store.SpoolBatch{Queue: "other", Records: waiting(30, 10, 100).Records})
			},
			func() error { return s.file.update(ctx, func(*bbolt.Tx) error { return full }, func() {}) },
			func() error { return s.Put(ctx, waiting(40, 10, 100)) },
		} {
			go func() {
				if err := change(); !errors.Is(err, full) {
					t.Errorf("got error %v, want %v", err, full)
				}
			}()
			synctest.Wait() // until it waits for the writer
		}
		close(release)
		synctest.Wait()
		if got := s.Stats(); got.Out != 5 || got.Waiting != 0 || len(got.Queues) != 1 || got.Bytes >= bytes || got.Failing == 0 {
			t.Errorf("got %+v, want 5 records, and it failing", got)
		}
		s.Return(testQueue, second[5:]...)
		if got := len(takeAll(t, s, testQueue)); got != 5 {
			t.Errorf("got %d records, want 5", got)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := s.Stats(); got.Failing != 0 || !s.held.allSaved() {
			t.Errorf("got %+v, want all saved and it well", got)
		}
	})
	if got := len(takeAll(t, openSpool(t, dir, Options{}), testQueue)); got != 5 {
		t.Errorf("got %d records of the file, want 5", got)
	}
}

// What is done is done for Take, though the transaction that says so to the file
// is still at work.
func TestSpoolTakeDuringFlush(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := openSpool(t, dir, Options{})
		ids := putAll(t, s, waiting(0, 10, 100))
		s.Done(testQueue, ids[:5]...)
		first, second := make(chan struct{}), make(chan struct{})
		var working sync.WaitGroup
		for _, change := range []func() error{
			func() error { return s.file.update(ctx, func(*bbolt.Tx) error { <-first; return nil }, func() {}) },
			func() error { return s.Flush(ctx) },
			func() error { return s.file.update(ctx, func(*bbolt.Tx) error { <-second; return nil }, func() {}) },
		} {
			working.Go(func() {
				if err := change(); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait() // until it waits for the writer
		}
		close(first)
		synctest.Wait() // until the flush is in a transaction
		for range 3 {
			s.Return(testQueue, ids[5:]...)
			if got := takeAll(t, s, testQueue); len(got) != 5 || got[0].ID != ids[5] {
				t.Errorf("got %d records, want the 5 that are not done", len(got))
			}
		}
		close(second)
		working.Wait()
		s.Return(testQueue, ids[5:]...)
		if got := len(takeAll(t, s, testQueue)); got != 5 {
			t.Errorf("got %d records, want 5", got)
		}
	})
}

// Memory is of what somebody has, not of what there is.
func TestSpoolMemory(t *testing.T) {
	s := openSpool(t, t.TempDir(), Options{})
	known := func() (blobs, numbers int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, q := range s.held.queues {
			blobs += len(q.blobs)
			numbers += len(q.free) + len(q.known)
		}
		return blobs, numbers + len(s.held.leaving) + len(s.held.unsaved)
	}
	ours := putAll(t, s, waiting(0, 1, 10)) // stays
	const rounds = 500
	for i := range rounds {
		ids := putAll(t, s, waiting(i, 5, 10))
		for _, id := range ids {
			s.Return(testQueue, id)
		}
	}
	if blobs, numbers := known(); blobs != 1 || numbers > 200 {
		t.Errorf("got %d blobs and %d numbers in memory, want 1 blob", blobs, numbers)
	}
	for range rounds {
		list, err := s.Take(ctx, testQueue, 3, unlimited)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list {
			s.Return(testQueue, r.ID)
		}
	}
	if blobs, numbers := known(); blobs != 1 || numbers > 200 {
		t.Errorf("got %d blobs and %d numbers in memory after some were taken, want 1 blob", blobs, numbers)
	}
	for taken := 0; taken < 5*rounds; {
		list, err := s.Take(ctx, testQueue, 7, unlimited)
		if err != nil || len(list) == 0 {
			t.Fatalf("got %d records and error %v after %d", len(list), err, taken)
		}
		taken += len(list)
		for _, r := range list {
			s.Done(testQueue, r.ID)
		}
		if taken%350 == 0 {
			if err := s.Flush(ctx); err != nil {
				t.Fatal(err)
			}
			if blobs, numbers := known(); blobs > 3 || numbers > 300 {
				t.Fatalf("got %d blobs and %d numbers in memory after %d were taken", blobs, numbers, taken)
			}
		}
	}
	s.Done(testQueue, ours...)
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if len(s.held.queues) != 0 {
		t.Errorf("got %d queues in memory, want 0", len(s.held.queues))
	}
}

// Queues that are empty leave the file.
func TestSpoolEmptyQueues(t *testing.T) {
	dir := t.TempDir()
	s := openSpool(t, dir, Options{})
	var batches []store.SpoolBatch
	for i := range 500 {
		b := waiting(i, 1, 10)
		b.Queue = fmt.Sprint("queue ", i)
		batches = append(batches, b)
	}
	putAll(t, s, batches...)
	for _, b := range batches {
		s.Done(b.Queue, b.Records[0].ID)
	}
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.file.view(ctx, func(tx *bbolt.Tx) error {
		if name, _ := tx.Bucket(spoolBucket).Cursor().First(); name != nil {
			t.Errorf("queue %q is still there", name)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// owners notes who has what, and who should not.
type owners struct {
	t     *testing.T
	mu    sync.Mutex
	has   map[string]bool // by body; false: it is done
	ended int
}

func (o *owners) took(list []store.SpoolRecord) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range list {
		if _, ok := o.has[string(r.Body)]; ok {
			o.t.Errorf("record %s was given though somebody had it, or it was done", r.Body)
		}
		o.has[string(r.Body)] = true
	}
}

// gives takes records out of their owners' hands, before the spool does.
func (o *owners) gives(list []store.SpoolRecord, done bool) (ids []uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range list {
		ids = append(ids, r.ID)
		if delete(o.has, string(r.Body)); done {
			o.has[string(r.Body)] = false
			o.ended++
		}
	}
	return ids
}

// Puts, takers and owners get in one another's way, and no record is lost or given
// twice.
func TestSpoolConcurrent(t *testing.T) {
	rounds := 150
	if *long {
		rounds = 5000
	}
	dir := t.TempDir()
	s := openSpool(t, dir, Options{})
	o := &owners{t: t, has: make(map[string]bool)}
	const hands = 8
	given := make(chan []store.SpoolRecord, 4)
	var working sync.WaitGroup
	for n := range hands {
		working.Go(func() {
			r := rand.New(rand.NewPCG(*seed, uint64(n)))
			for list := range given {
				for len(list) > 0 {
					some := list[:1+r.IntN(min(len(list), 40))]
					list = list[len(some):]
					if r.IntN(4) == 0 {
						s.Return(testQueue, o.gives(some, false)...)
					} else {
						s.Done(testQueue, o.gives(some, true)...)
					}
				}
			}
		})
	}
	var feeding sync.WaitGroup
	puts, total := make(chan struct{}), 0
	feeding.Go(func() {
		defer close(puts)
		r := rand.New(rand.NewPCG(*seed, 100))
		for range rounds {
			batch := waiting(total, 1+r.IntN(100), 20)
			total += len(batch.Records)
			o.took(batch.Records) // nobody knows them yet
			if err := s.Put(ctx, batch); err != nil {
				t.Error(err)
				return
			}
			given <- batch.Records
		}
	})
	feeding.Go(func() {
		r := rand.New(rand.NewPCG(*seed, 101))
		for more := true; more; {
			select {
			case <-puts:
				more = s.Waiting(testQueue) > 0
			default:
			}
			list, err := s.Take(ctx, testQueue, 1+r.IntN(200), 1+r.Int64N(10_000))
			if err != nil {
				t.Error(err)
				return
			}
			o.took(list)
			given <- list
		}
	})
	feeding.Wait()
	close(given)
	working.Wait()
	rest := takeAll(t, s, testQueue)
	o.took(rest)
	s.Done(testQueue, o.gives(rest, true)...)
	if o.ended != total || len(s.Queues()) != 0 {
		t.Errorf("%d of %d records are done, and queues %q are left", o.ended, total, s.Queues())
	}
	if err := s.Flush(ctx); err != nil {
		t.Error(err)
	}
	if len(s.held.queues) != 0 || s.held.bytes != 0 {
		t.Errorf("got %d queues and %d bytes of an empty spool", len(s.held.queues), s.held.bytes)
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
	consistent(t, filepath.Join(dir, spoolFileName))
}

func TestSpoolStats(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	s := openSpool(t, t.TempDir(), Options{SpoolBytes: 100_000, Now: func() time.Time { return now }})
	batch := waiting(0, 40, 1000)
	for i := range batch.Records {
		batch.Records[i].Expires = now.Add(time.Minute)
	}
	ids := putAll(t, s, batch)
	s.Done(testQueue, ids[:10]...)
	s.Return(testQueue, ids[10:30]...)
	got := s.Stats()
	if got.Waiting != 20 || got.Out != 10 || got.Bytes < 40_000 || got.Bytes > 50_000 || got.MaxBytes != 100_000 || got.FileBytes < got.Bytes || got.Commits != 1 || got.Writes != 1 {
		t.Errorf("got %+v", got)
	}
	if got, want := got.Queues[testQueue], (SpoolQueueStats{Waiting: 20, Out: 10}); got != want || len(s.Stats().Queues) != 1 {
		t.Errorf("got %+v, want %+v", got, want)
	}
	s.Return(testQueue, ids[30:]...)
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Minute)
	putAll(t, s, waiting(40, 70, 1000))
	if got, want := s.Stats().Queues[testQueue], (SpoolQueueStats{Out: 70, Expired: 30}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestSpoolClosed(t *testing.T) {
	s, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	spool := s.Spool()
	ids := putAll(t, spool, waiting(0, 2, 10))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	spool.Return(testQueue, ids[0])
	spool.Done(testQueue, ids[1])
	_, take := spool.Take(ctx, testQueue, 1, 1)
	for name, err := range map[string]error{"Put": spool.Put(ctx, waiting(0, 1, 10)), "Take": take, "Flush": spool.Flush(ctx)} {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s: got %v, want %v", name, err, store.ErrClosed)
		}
	}
}

// A Put and the end of its records cost few allocations, however many they are.
func TestSpoolAllocs(t *testing.T) {
	s := openSpool(t, t.TempDir(), Options{})
	for _, tt := range []struct {
		records int
		want    float64
	}{{1, 150}, {1000, 150}} {
		batch := waiting(0, tt.records, 350)
		ids := make([]uint64, tt.records)
		if got := testing.AllocsPerRun(20, func() {
			if err := s.Put(ctx, batch); err != nil {
				t.Fatal(err)
			}
			for i := range ids {
				ids[i] = batch.Records[i].ID
				s.Done(testQueue, ids[i])
			}
		}); got > tt.want {
			t.Errorf("%d records: got %.0f allocations, want at most %.0f", tt.records, got, tt.want)
		}
	}
}
