package memory

import (
	"context"
	"errors"
	"slices"

	"apnsbridge/store"
)

// part is what of a Put goes into one of both parts.
type part struct {
	batches []store.SpoolBatch
	records [][]*store.SpoolRecord // the caller's, of each batch
	fresh   bool                   // all of it is new
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

// keep gives the caller the IDs that were given.
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
			case r.ID != 0 && !s.owns(b.Line.App): // another node has it by now
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

// goesFirst reports whether what is new of a line goes into the shared part.
func (s *Spool) goesFirst(line store.Line) bool {
	switch {
	case s.reads(line.App):
		return s.Commits || !slices.Contains(s.Local.Lines(), line)
	case s.owns(line.App) && s.Gives(line.App): // what went behind would have to be read again, and put there
		return !slices.Contains(s.Local.Lines(), line)
	}
	return false
}

// mayGoBehind reports whether all of a part may go behind, because it cannot be put into
// what is shared.
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

// takeBack ends what was new in a part of a Put that has failed.
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

// isOfRecords reports whether an error is about what was to be put, or the room for it.
func isOfRecords(err error) bool {
	return errors.Is(err, store.ErrSpoolFull) || errors.Is(err, store.ErrDeviceFull) || errors.Is(err, store.ErrUnstorable)
}
