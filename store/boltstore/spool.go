package boltstore

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"apnsbridge/store"
)

var (
	spoolBucket = []byte("spool")
	blobKey     = []byte("blob")
)

// Spool implements store.Spool.
//
// Records come, stand in the file and leave by blobs: what one Put adds to one
// queue, at most 1,024 records. Each blob is in a bucket of its own: bbolt writes
// at least two values to a page with its overflow, and so would write a large
// value again and again with its neighbour.
type Spool struct {
	file     *file
	now      func() time.Time
	maxBytes int64
	pageSize int
	buffers  sync.Pool // of *[]byte

	taking sync.Mutex // by who reads the file; before mu

	mu        sync.Mutex
	held      *holdings
	last      uint64 // number of a blob that was given
	quiet     quiet
	squeezeAt time.Time // before which squeeze finds nothing
}

func newSpool(f *file, o Options) *Spool {
	s := &Spool{file: f, now: o.Now, maxBytes: o.SpoolBytes, pageSize: f.bolt.Info().PageSize, held: newHoldings(o.SpoolBytes)}
	s.buffers.New = func() any { return new([]byte) }
	return s
}

// part is a blob that is to be put.
type part struct {
	queue   string
	records []store.SpoolRecord
	head    blobHead
	blob    *blob
	bytes   []byte
}

// Put implements store.Spool.
func (s *Spool) Put(ctx context.Context, batches ...store.SpoolBatch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	parts, err := split(batches)
	if err != nil || len(parts) == 0 {
		return err
	}
	if err := s.reserve(ctx, parts); err != nil {
		return err
	}
	buffer := s.buffers.Get().(*[]byte)
	*buffer = encode((*buffer)[:0], parts)
	err = s.put(ctx, parts)
	s.buffers.Put(buffer)
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		for i := range parts {
			s.held.unput(parts[i].blob)
		}
		return err
	}
	for i := range parts {
		for j := range parts[i].records {
			parts[i].records[j].ID = recordID(parts[i].head.number, j)
		}
	}
	return nil
}

// split makes blobs of batches.
func split(batches []store.SpoolBatch) (parts []part, err error) {
	parts = make([]part, 0, len(batches))
	for _, batch := range batches {
		if len(batch.Queue) == 0 || len(batch.Queue) > maxQueue {
			return nil, fmt.Errorf("store: the name of a queue has %d bytes; it can have 1 to %d", len(batch.Queue), maxQueue)
		}
		for rest := batch.Records; len(rest) > 0; {
			size, n := blobFixed+len(batch.Queue), 0
			for ; n < min(len(rest), blobRecords); n++ {
				r := rest[n]
				if len(r.Token) > maxToken || len(r.Body) > maxBody {
					return nil, fmt.Errorf("store: a record has a token of %d bytes and a body of %d; they can have %d and %d", len(r.Token), len(r.Body), maxToken, maxBody)
				}
				if n > 0 && size+recordSize(r) > blobBytes {
					break
				}
				size += recordSize(r)
			}
			h := blobHead{size: size, count: n}
			h.soonest, h.latest = expiry(rest[:n])
			parts = append(parts, part{queue: batch.Queue, records: rest[:n], head: h})
			rest = rest[n:]
		}
	}
	return parts, nil
}

// reserve finds room for parts and puts their records into their owner's hands.
func (s *Spool) reserve(ctx context.Context, parts []part) error {
	now := s.now()
	for _, makeRoom := range []func(context.Context, time.Time) error{s.sweep, s.squeeze, nil} {
		if s.tryReserve(parts, now) {
			return nil
		}
		if makeRoom == nil {
			break
		}
		if err := makeRoom(ctx, now); err != nil {
			return err
		}
	}
	return store.ErrSpoolFull
}

// tryReserve says whether there was room.
func (s *Spool) tryReserve(parts []part, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.held.fits(parts, s.cost) {
		return false
	}
	for i := range parts {
		p := &parts[i]
		q := s.held.queue(p.queue)
		s.last++
		p.head.number, p.head.put = s.last, millis(now)
		p.blob = newBlob(s.last, p.head.count, s.cost(p.head.size), p.head.latest)
		s.held.put(q, p.blob)
		p.head.oldest = q.oldest()
	}
	return true
}

// cost is how many bytes of the file a blob of size bytes takes, whose bucket is
// within another's page if it is small.
func (s *Spool) cost(size int) int64 {
	const bucket = bucketHead + pageHead + elementSize
	if n := size + bucket; n < s.pageSize/4 {
		return int64(n + elementSize)
	}
	n := size + pageHead + elementSize + len(blobKey)
	return int64((n + s.pageSize - 1) / s.pageSize * s.pageSize)
}

// encode appends the bytes of parts to b.
func encode(b []byte, parts []part) []byte {
	size := 0
	for i := range parts {
		size += parts[i].head.size
	}
	b = slices.Grow(b, size)
	for i := range parts {
		at := len(b)
		b = appendBlob(b, parts[i].head, parts[i].queue, parts[i].records)
		parts[i].bytes = b[at:]
	}
	return b
}

// put writes parts, and what is done.
func (s *Spool) put(ctx context.Context, parts []part) error {
	var ends []end
	return s.file.update(ctx, func(tx *bbolt.Tx) error {
		root := tx.Bucket(spoolBucket)
		for i := range parts {
			if err := putBlob(root, &parts[i]); err != nil {
				return err
			}
		}
		ends = s.ends()
		tx.OnCommit(func() { s.told(ends, true) })
		for _, e := range ends {
			if err := e.tell(root); err != nil {
				return err
			}
		}
		return nil
	}, func() { s.told(ends, false) })
}

func putBlob(root *bbolt.Bucket, p *part) error {
	q, err := root.CreateBucketIfNotExists([]byte(p.queue))
	if err != nil {
		return err
	}
	q.FillPercent = onlyGrows
	b, err := q.CreateBucket(appendU64(nil, p.head.number))
	if err != nil {
		return err
	}
	if root.Sequence() < p.head.number {
		if err := root.SetSequence(p.head.number); err != nil {
			return err
		}
	}
	return b.Put(blobKey, p.bytes)
}

// Return implements store.Spool.
func (s *Spool) Return(queue string, ids ...uint64) { s.giveBack(queue, ids, false) }

// Done implements store.Spool.
func (s *Spool) Done(queue string, ids ...uint64) { s.giveBack(queue, ids, true) }

func (s *Spool) giveBack(queue string, ids []uint64, done bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q := s.held.queues[queue]; q != nil {
		s.held.giveBack(q, ids, done)
		s.flushSoon()
	}
}

// Waiting implements store.Spool.
func (s *Spool) Waiting(queue string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q := s.held.queues[queue]; q != nil {
		return q.waiting
	}
	return 0
}

// Queues implements store.Spool. They are in the order of their names.
func (s *Spool) Queues() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for name, q := range s.held.queues {
		if q.waiting+q.out > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// SpoolStats says how a spool is doing. Counters run from Open.
type SpoolStats struct {
	Waiting   int   // records that nobody has
	Out       int   // records that somebody has
	Bytes     int64 // that the records take in the file
	MaxBytes  int64
	FileBytes int64
	Writes    uint64        // changes made
	Commits   uint64        // transactions they took
	Failing   time.Duration // for how long it could not be written; 0 if it can
	Failures  uint64        // transactions that could not be written
	Queues    map[string]SpoolQueueStats
}

// SpoolQueueStats says how a queue is doing.
type SpoolQueueStats struct {
	Waiting int
	Out     int
	Expired uint64 // records that had, and left without being taken, to make room
}

// Stats returns a snapshot.
func (s *Spool) Stats() SpoolStats {
	stats := SpoolStats{
		MaxBytes: s.maxBytes, FileBytes: s.file.size(), Queues: make(map[string]SpoolQueueStats),
		Writes: s.file.writes.Load(), Commits: s.file.commits.Load(),
	}
	stats.Failing, stats.Failures = s.file.failing.figures(s.file.now())
	s.mu.Lock()
	defer s.mu.Unlock()
	stats.Bytes = s.held.bytes
	for name, q := range s.held.queues {
		stats.Queues[name] = SpoolQueueStats{Waiting: q.waiting, Out: q.out, Expired: q.expired}
		stats.Waiting += q.waiting
		stats.Out += q.out
	}
	return stats
}

// Failing says why the spool cannot be written, in words for the operator; nil if
// it can.
func (s *Spool) Failing() error { return s.file.whyFailing() }
