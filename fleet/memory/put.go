package memory

import (
	"context"
	"errors"
	"slices"

	"apnsbridge/store"
)

// part is what a Put puts into one of the two parts of the spool, the shared or the local one.
type part struct {
	batches []store.SpoolBatch
	records [][]*store.SpoolRecord // the caller's records, of each batch
	fresh   bool                   // all records are new
}

func (p *part) add(line store.Line, r *store.SpoolRecord) {
	if last := len(p.batches) - 1; last < 0 || p.batches[last].Line != line {
		p.batches = append(p.batches, store.SpoolBatch{Line: line})
		p.records = append(p.records, nil)
		p.fresh = p.fresh || last < 0
	}
	last := len(p.batches) - 1
	copied := *r
	copied.ID &^= behindBit
	p.batches[last].Records = append(p.batches[last].Records, copied)
	p.records[last] = append(p.records[last], r)
	p.fresh = p.fresh && r.ID == 0
}

// keep copies the IDs that were given to the caller's records.
func (p *part) keep(bit uint64) {
	for i, batch := range p.batches {
		for k, r := range p.records[i] {
			r.ID = batch.Records[k].ID | bit
		}
	}
}

// Put implements store.Spool.
func (s *Spool) Put(ctx context.Context, batches ...store.SpoolBatch) error {
	var shared, own part
	var behind []store.Line
	for _, b := range batches {
		if !slices.Contains(behind, b.Line) && !s.goesFirst(b.Line) {
			behind = append(behind, b.Line)
		}
		for i := range b.Records {
			switch r := &b.Records[i]; {
			case isBehind(r.ID), r.ID == 0 && slices.Contains(behind, b.Line):
				own.add(b.Line, r)
			case r.ID != 0 && !s.owns(b.Line.App): // another node has the record by now
			default:
				shared.add(b.Line, r)
			}
		}
	}
	for _, line := range behind {
		if s.Commits && s.Loose(line.App) {
			return errLoose
		}
	}
	if err := s.putShared(ctx, &shared); err != nil {
		if isOfRecords(err) || !s.mayGoBehind(&shared) || len(own.batches) > 0 {
			return err
		}
		own, shared = shared, part{}
	}
	if len(own.batches) == 0 {
		shared.keep(0)
		return nil
	}
	if err := s.Local.Put(ctx, own.batches...); err != nil {
		s.takeBack(&shared)
		return err
	}
	shared.keep(0)
	own.keep(behindBit)
	return nil
}

// goesFirst reports whether new records of a line go into the shared part.
func (s *Spool) goesFirst(line store.Line) bool {
	switch {
	case s.reads(line.App):
		return s.Commits || !slices.Contains(s.Local.Lines(), line)
	case s.owns(line.App) && s.Gives(line.App): // records that went behind would have to be handed over
		return !slices.Contains(s.Local.Lines(), line)
	}
	return false
}

// mayGoBehind reports whether all of a part that cannot be put into the shared spool may go behind.
func (s *Spool) mayGoBehind(p *part) bool {
	return p.fresh && !slices.ContainsFunc(p.batches, func(b store.SpoolBatch) bool {
		return s.Commits && !s.Gives(b.Line.App)
	})
}

func (s *Spool) putShared(ctx context.Context, p *part) error {
	if len(p.batches) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.Patience)
	defer cancel()
	err := s.Shared.Put(ctx, p.batches...)
	if s.Fenced != nil && errors.Is(err, store.ErrNotOurs) {
		s.Fenced()
	}
	return err
}

// takeBack deletes the new records of a part again because the rest of the Put has failed.
func (s *Spool) takeBack(p *part) {
	for i, batch := range p.batches {
		var keys []store.SpoolKey
		for k, r := range p.records[i] {
			if r.ID == 0 {
				keys = append(keys, batch.Records[k].SpoolKey)
			}
		}
		s.Shared.Done(batch.Line, keys...)
	}
}

// isOfRecords reports whether an error is about the records, or the room for them, rather than the
// store.
func isOfRecords(err error) bool {
	return errors.Is(err, store.ErrSpoolFull) || errors.Is(err, store.ErrDeviceFull) || errors.Is(err, store.ErrUnstorable)
}
