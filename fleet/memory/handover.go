package memory

import (
	"context"

	"apnsbridge/store"
)

// HandOver puts what is the node's own of an app that it has into what is shared, but for
// what is in hands.
func (s *Spool) HandOver(ctx context.Context, app string) error {
	for _, line := range s.Local.Lines() {
		if line.App != app {
			continue
		}
		if err := s.handOver(ctx, line, func() ([]store.SpoolRecord, error) {
			return s.Local.Take(ctx, line, handOverLen, handOverBytes)
		}); err != nil {
			return err
		}
		for {
			devices, err := s.Local.Devices(ctx, line, nil, 1)
			if err != nil {
				return err
			}
			if len(devices) == 0 {
				break
			}
			if err := s.handOver(ctx, line, func() ([]store.SpoolRecord, error) {
				return s.Local.TakeOf(ctx, line, devices[0].Token, handOverLen, handOverBytes)
			}); err != nil {
				return err
			}
		}
	}
	return s.Local.Flush(ctx)
}

const handOverBytes = 1 << 20

// handOver hands over what take gives, until that is nothing.
func (s *Spool) handOver(ctx context.Context, line store.Line, take func() ([]store.SpoolRecord, error)) error {
	for {
		records, err := take()
		if err != nil || len(records) == 0 {
			return err
		}
		keys := make([]store.SpoolKey, len(records))
		whole := records[:0:0]
		for i, r := range records {
			if keys[i] = r.SpoolKey; r.Broken == nil {
				r.ID = 0
				whole = append(whole, r)
			}
		}
		put := part{batches: []store.SpoolBatch{{Line: line, Records: whole}}}
		if err := s.putShared(ctx, &put); err != nil {
			s.Local.Return(line, keys...)
			return err
		}
		s.Local.Done(line, keys...)
		s.Shared.Return(line, keysOf(whole)...)
	}
}

func keysOf(records []store.SpoolRecord) []store.SpoolKey {
	keys := make([]store.SpoolKey, len(records))
	for i, r := range records {
		keys[i] = r.SpoolKey
	}
	return keys
}
