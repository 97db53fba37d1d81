package boltstore

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/bbolt"
)

// sweepBlobs is how many blobs leave in a sweep, at most.
const sweepBlobs = 10_000

// sweep has leave the cold blobs that have expired, to make room.
func (s *Spool) sweep(ctx context.Context, now time.Time) error {
	s.mu.Lock()
	none := s.held.sweepAt == 0 || s.held.sweepAt > seconds(now)
	s.mu.Unlock()
	if none {
		return nil
	}
	defer s.reading()()
	var swept []*blob
	var names []string
	var next uint64 // the second in which another can be swept
	err := s.file.view(ctx, func(tx *bbolt.Tx) error {
		root := tx.Bucket(spoolBucket)
		return root.ForEachBucket(func(name []byte) error {
			q, queue := root.Bucket(name), string(name)
			return q.ForEachBucket(func(key []byte) error {
				number := u64(key)
				if s.isKnown(queue, number) {
					return nil
				}
				value := blobIn(q, number)
				h, err := readHead(value)
				if err != nil || h.latest == 0 {
					return err
				}
				if h.latest > seconds(now) || len(swept) == sweepBlobs {
					if next == 0 || h.latest < next {
						next = h.latest
					}
					return nil
				}
				_, b, err := s.coldBlob(q, queue, number, value)
				swept, names = append(swept, b), append(names, queue)
				return err
			})
		})
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, b := range swept {
		s.held.warm(s.held.queues[names[i]], b)
		s.held.expire(b)
	}
	s.held.sweepAt = next
	s.flushSoon()
	return nil
}

// isKnown says whether memory knows a blob, which is there: it is cold else.
func (s *Spool) isKnown(queue string, number uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.held.queues[queue]
	return q != nil && q.has(number)
}

// squeezeWait is when it is worth while to look again for blobs to squeeze, if some
// were found and if none was.
const (
	squeezeWait     = time.Second
	squeezeWaitLong = time.Minute
)

// squeezeBytes bounds what one squeeze writes.
const squeezeBytes = 16 << 20

// squeezing is a blob that takes much less room without what is done.
type squeezing struct {
	queue     string
	number    uint64
	done      bitmap
	size      int   // of it then
	was, will int64 // what it costs
	gone      bool  // it has ended meanwhile
}

// squeeze makes room of what is done in blobs of which little is left. Few records
// that wait for long would else keep the space of the thousands that came with
// them.
func (s *Spool) squeeze(ctx context.Context, now time.Time) error {
	s.mu.Lock()
	early := now.Before(s.squeezeAt)
	s.mu.Unlock()
	if early {
		return nil
	}
	defer s.reading()()
	list, err := s.sparse(ctx)
	if err == nil && len(list) > 0 {
		err = s.file.update(ctx, func(tx *bbolt.Tx) error {
			root := tx.Bucket(spoolBucket)
			for i := range list {
				if err := list[i].squeeze(root); err != nil {
					return err
				}
			}
			return nil
		}, func() {})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.squeezeAt = now.Add(squeezeWait)
	if len(list) == 0 {
		s.squeezeAt = now.Add(squeezeWaitLong)
	}
	if err != nil {
		return err
	}
	for _, b := range list {
		if !b.gone {
			s.held.squeezed(b.queue, b.number, b.was-b.will)
		}
	}
	return nil
}

// errEnough ends a look through the file.
var errEnough = errors.New("enough")

// sparse finds blobs that are worth while to squeeze.
func (s *Spool) sparse(ctx context.Context) (list []squeezing, err error) {
	bytes := 0
	err = s.file.view(ctx, func(tx *bbolt.Tx) error {
		root := tx.Bucket(spoolBucket)
		err := root.ForEachBucket(func(name []byte) error {
			q, queue := root.Bucket(name), string(name)
			return q.ForEachBucket(func(key []byte) error {
				value := blobIn(q, u64(key))
				was := s.cost(len(value))
				if was <= int64(s.pageSize) {
					return nil
				}
				h, b, err := s.coldBlob(q, queue, u64(key), value)
				if err != nil {
					return err
				}
				s.addEnded(queue, b)
				size := h.sizeWithout(b.ended)
				if will := s.cost(size); will <= was/2 {
					list = append(list, squeezing{queue: queue, number: h.number, done: b.ended, size: size, was: was, will: will})
				}
				if bytes += size; bytes > squeezeBytes {
					return errEnough
				}
				return nil
			})
		})
		if errors.Is(err, errEnough) {
			err = nil
		}
		return err
	})
	return list, err
}

// addEnded adds to a blob what memory knows to be done of it.
func (s *Spool) addEnded(queue string, b *blob) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q := s.held.queues[queue]; q != nil && q.has(b.number) {
		copy(b.ended, q.blobs[b.number].ended)
	}
}

// squeeze writes the blob within the writer's transaction.
func (b *squeezing) squeeze(root *bbolt.Bucket) error {
	q := root.Bucket([]byte(b.queue))
	value := blobIn(q, b.number)
	if b.gone = value == nil; b.gone {
		return nil
	}
	h, err := readHead(value)
	if err != nil {
		return err
	}
	return q.Bucket(appendU64(nil, b.number)).Put(blobKey, h.without(value, b.done))
}
