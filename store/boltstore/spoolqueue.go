package boltstore

import (
	"bytes"
	"context"
	"errors"

	"go.etcd.io/bbolt"

	"apnsbridge/store"
)

// TakeOf implements store.Spool.
func (s *Spool) TakeOf(
	ctx context.Context, l store.Line, token []byte, limit int, most int64,
) (records []store.SpoolRecord, err error) {
	n := s.known(l)
	if n == nil || !s.Queued(l, token) {
		return nil, errors.Join(ctx.Err(), s.open())
	}
	err = s.viewQueue(ctx, n, queueKey(token, 0), func(c *bbolt.Cursor, key, value []byte) {
		for ; key != nil && len(records) < limit; key, value = c.Next() {
			of, id, ok := splitKey(key)
			if !ok || !bytes.Equal(of, token) {
				return
			}
			payload := valueSize(value) - int64(frameSize(len(n.name), 0, 0))
			if len(records) > 0 && payload > most {
				return
			}
			h := hand{line: n, size: valueSize(value), device: s.device(n, token)}
			if !s.hold(id, h) {
				continue
			}
			most -= payload
			r := s.record(value, id, s.salt)
			r.Token, r.Queued = bytes.Clone(of), true
			records = append(records, r)
		}
	})
	if err != nil {
		for _, r := range records {
			s.Return(l, r.SpoolKey)
		}
		return nil, err
	}
	return records, nil
}

// hold takes a record of a queue into hands, unless it is in somebody's.
func (s *Spool) hold(id uint64, h hand) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, held := s.held[id]; held {
		return false
	}
	s.held[id] = h
	return true
}

// holds reports whether a record is in somebody's hands, or done.
func (s *Spool) holds(id uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, held := s.held[id]
	return held && h.state != returned
}

// viewQueue calls fn with what is in the queues of n from a key on.
func (s *Spool) viewQueue(
	ctx context.Context, n *line, from []byte, fn func(c *bbolt.Cursor, key, value []byte),
) error {
	s.queues.viewing.RLock()
	defer s.queues.viewing.RUnlock()
	return s.queues.view(ctx, func(tx *bbolt.Tx) error {
		if b := tx.Bucket(queuesBucket).Bucket([]byte(n.name)); b != nil {
			c := b.Cursor()
			key, value := c.Seek(from)
			fn(c, key, value)
		}
		return nil
	})
}

// Devices implements store.Spool.
func (s *Spool) Devices(
	ctx context.Context, l store.Line, after []byte, limit int,
) (devices []store.QueuedDevice, err error) {
	n := s.known(l)
	if n == nil {
		return nil, errors.Join(ctx.Err(), s.open())
	}
	from := []byte{}
	if after != nil {
		from = queueKey(after, 1<<64-1)
	}
	err = s.viewQueue(ctx, n, from, func(c *bbolt.Cursor, key, _ []byte) {
		for ; key != nil; key, _ = c.Next() {
			token, id, ok := splitKey(key)
			if !ok || s.holds(id) {
				continue
			}
			if last := len(devices) - 1; last >= 0 && bytes.Equal(devices[last].Token, token) {
				devices[last].Records++
				continue
			}
			if len(devices) >= limit {
				return
			}
			devices = append(devices, store.QueuedDevice{Token: bytes.Clone(token), Records: 1})
		}
	})
	return devices, err
}
