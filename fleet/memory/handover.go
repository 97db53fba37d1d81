package memory

import (
	"context"

	"apnsbridge/store"
)

// HandOver moves the node's own records of an app that it has into the shared spool, except
// those that are checked out.
func (s *Spool) HandOver(ctx context.Context, app string) error {
	for _, line := range s.Local.Lines() {
		if line.App != app {
			continue
		}
		if _, err := store.DrainSpool(ctx, s.Local, line, func(list []store.SpoolRecord) error {
			for i := range list {
				list[i].ID = 0
			}
			put := part{batches: []store.SpoolBatch{{Line: line, Records: list}}}
			if err := s.putShared(ctx, &put); err != nil {
				return err
			}
			s.Shared.Return(line, store.KeysOf(list)...)
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}
