package boltstore

import (
	"bytes"
	"context"
	"math"

	"apnsbridge/store"
	"apnsbridge/store/boltstore/queuedb"
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
	flags := s.queues.flags.Load()
	err = s.viewQueue(ctx, n, token, 0, func(v queuedb.Value) bool {
		payload := v.Size() - int64(seglog.FrameSize(len(n.Name), 0, 0))
		if !bytes.Equal(v.Token, token) || len(list) >= limit || len(list) > 0 && payload > most {
			return false
		}
		if s.hold(v.ID, hand{line: n, size: v.Size(), device: s.device(n, token)}) {
			most -= payload
			list = append(list, s.told(v.Record(s.queues.Salt), v.Bytes))
		}
		return true
	})
	if err == nil && len(list) > 0 && s.queues.flags.Load() != flags {
		err = s.readAgain(ctx, n, list)
	}
	if err != nil {
		for _, r := range list {
			s.Return(l, r.SpoolKey)
		}
		return nil, err
	}
	return list, nil
}

// readAgain reads records of one queue once more, now that they are held: before that they
// may have been rewritten after the reader saw them.
func (s *Spool) readAgain(ctx context.Context, n *line, list []store.SpoolRecord) error {
	at := 0
	return s.viewQueue(ctx, n, list[0].Token, list[0].ID, func(v queuedb.Value) bool {
		if v.ID == list[at].ID {
			list[at] = v.Record(s.queues.Salt)
			at++
		}
		return at < len(list)
	})
}

// viewQueue is queuedb.DB.Each for readers that check whether a record is held.
func (s *Spool) viewQueue(ctx context.Context, n *line, token []byte, id uint64, fn func(queuedb.Value) bool) error {
	s.queues.viewing.RLock()
	defer s.queues.viewing.RUnlock()
	return s.queues.Each(ctx, n.Name, token, id, fn)
}

// Devices implements store.Spool.
func (s *Spool) Devices(
	ctx context.Context, l store.Line, after []byte, limit int,
) (devices []store.QueuedDevice, err error) {
	n, err := s.begin(ctx, l)
	if err != nil || n == nil {
		return nil, err
	}
	err = s.viewQueue(ctx, n, after, math.MaxUint64, func(v queuedb.Value) bool {
		last := len(devices) - 1
		switch _, held := s.look(v.ID); {
		case held:
		case last >= 0 && bytes.Equal(devices[last].Token, v.Token):
			devices[last].Records++
		case len(devices) >= limit:
			return false
		default:
			devices = append(devices, store.QueuedDevice{Token: bytes.Clone(v.Token), Records: 1})
		}
		return true
	})
	return devices, err
}
