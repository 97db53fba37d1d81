package boltstore

import (
	"bytes"
	"context"
	"math"

	"go.etcd.io/bbolt"

	"apnsbridge/store"
	"apnsbridge/store/boltstore/seglog"
)

// TakeOf implements store.Spool.
func (s *Spool) TakeOf(
	ctx context.Context, l store.Line, token []byte, limit int, most int64,
) (list []store.SpoolRecord, err error) {
	n, err := s.begin(ctx, l)
	if err != nil || n == nil || !s.Queued(l, token) {
		return nil, err
	}
	err = s.viewQueue(ctx, n, queueKey(token, 0), func(of []byte, id uint64, value []byte) bool {
		payload := seglog.ValueSize(value) - int64(seglog.FrameSize(len(n.Name), 0, 0))
		if !bytes.Equal(of, token) || len(list) >= limit || len(list) > 0 && payload > most {
			return false
		}
		if !s.hold(id, hand{line: n, size: seglog.ValueSize(value), device: s.device(n, token)}) {
			return true
		}
		most -= payload
		r := store.SpoolRecord{Broken: seglog.ErrBroken}
		if f, ok := seglog.ReadFrame(value, s.salt); ok && f.ID == id {
			r = f.Record(value)
		}
		r.ID, r.Token, r.Queued = id, bytes.Clone(of), true
		list = append(list, s.told(r, value))
		return true
	})
	if err != nil {
		for _, r := range list {
			s.Return(l, r.SpoolKey)
		}
		return nil, err
	}
	return list, nil
}

// hold takes a record of a queue into hands, unless it is in a caller's already.
func (s *Spool) hold(id uint64, h hand) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, held := s.held[id]; held {
		return false
	}
	s.held[id] = h
	return true
}

// viewQueue calls fn for what is in the queues of n from a key on, until it is false.
func (s *Spool) viewQueue(
	ctx context.Context, n *line, from []byte, fn func(token []byte, id uint64, value []byte) bool,
) error {
	s.queues.viewing.RLock()
	defer s.queues.viewing.RUnlock()
	return s.queues.view(ctx, func(tx *bbolt.Tx) error {
		b := tx.Bucket(queuesBucket).Bucket([]byte(n.Name))
		if b == nil {
			return nil
		}
		c := b.Cursor()
		for key, value := c.Seek(from); key != nil; key, value = c.Next() {
			if token, id, ok := splitKey(key); ok && !fn(token, id, value) {
				return nil
			}
		}
		return nil
	})
}

// Devices implements store.Spool.
func (s *Spool) Devices(
	ctx context.Context, l store.Line, after []byte, limit int,
) (devices []store.QueuedDevice, err error) {
	n, err := s.begin(ctx, l)
	if err != nil || n == nil {
		return nil, err
	}
	from := []byte{}
	if after != nil {
		from = queueKey(after, math.MaxUint64)
	}
	err = s.viewQueue(ctx, n, from, func(token []byte, id uint64, _ []byte) bool {
		last := len(devices) - 1
		switch _, held := s.look(id); {
		case held:
		case last >= 0 && bytes.Equal(devices[last].Token, token):
			devices[last].Records++
		case len(devices) >= limit:
			return false
		default:
			devices = append(devices, store.QueuedDevice{Token: bytes.Clone(token), Records: 1})
		}
		return true
	})
	return devices, err
}
