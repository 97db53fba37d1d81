package boltstore

import (
	"bytes"
	"context"
	"hash/maphash"
	"math"
	"math/rand/v2"

	"apnsbridge/store"
	"apnsbridge/store/boltstore/queuedb"
	"apnsbridge/store/boltstore/seglog"
)

// Take implements store.Spool. It reads on from where it stopped, or from the first record
// that was returned since.
func (s *Spool) Take(ctx context.Context, l store.Line, limit int, most int64) (list []store.SpoolRecord, err error) {
	n, err := s.begin(ctx, l)
	if err != nil || n == nil {
		return nil, err
	}
	n.reading.Lock()
	defer n.reading.Unlock()
	s.mu.Lock()
	at := n.cursor
	n.cursor = math.MaxUint64 // Return lowers it
	s.mu.Unlock()
	if limit > 0 {
		at, err = s.log.Each(&n.Tally, at, math.MaxInt64, func(f *seglog.Found) bool {
			payload := int64(f.Size - seglog.FrameSize(len(f.Name), 0, 0))
			if len(list) >= limit || len(list) > 0 && payload > most {
				return false
			}
			if s.hold(f.ID, hand{line: n, size: int64(f.Size)}) {
				most -= payload
				list = append(list, s.told(f.Record(f.Bytes()), f.Bytes()))
			}
			return true
		})
	}
	s.mu.Lock()
	n.cursor = min(n.cursor, at)
	s.mu.Unlock()
	if len(list) > 0 {
		err = nil // it comes again, if its cause persists
	}
	return list, err
}

// hold checks out a record that a reader has found, unless it is already checked out or no
// longer in the log.
func (s *Spool) hold(id uint64, h hand) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, held := s.held.Get(id); held || h.device == 0 && !s.log.Has(id) {
		return false
	}
	if s.held.Set(id, h); h.device == 0 {
		h.line.Waiting.Add(-1)
	}
	return true
}

// told returns r, whose bytes are b. If r is broken it counts that, and keeps b for the
// operator.
func (s *Spool) told(r store.SpoolRecord, b []byte) store.SpoolRecord {
	if r.Broken != nil {
		s.log.Quarantine(bytes.NewReader(b))
	}
	return r
}

const (
	sampleRecords = 100_000
	sampleBytes   = 48 << 20 // of segments, including what other lines have there
)

// Sample implements store.Spool.
func (s *Spool) Sample(
	ctx context.Context, l store.Line, limit int, free func(token []byte) bool,
) (list []store.SpoolRecord, err error) {
	n, err := s.begin(ctx, l)
	if err != nil || n == nil || n.Waiting.Load() == 0 {
		return nil, err
	}
	type sampled struct {
		seglog.Frame
		bytes []byte
	}
	var chosen []sampled
	records, firsts, seen := 0, 0, make(map[uint64]bool, min(n.Waiting.Load(), sampleRecords))
	_, err = s.log.Each(&n.Tally, 0, sampleBytes, func(f *seglog.Found) bool {
		there, held := s.look(f.ID)
		if !there {
			return true
		}
		records++
		device := maphash.Bytes(s.seed, f.Token)
		if !seen[device] && !held && free(f.Token) {
			// Each of them is equally likely to be chosen.
			firsts++
			i := len(chosen)
			if i < limit {
				chosen = append(chosen, sampled{})
			} else {
				i = rand.IntN(firsts)
			}
			if i < limit {
				b := bytes.Clone(f.Bytes())
				frame, _ := seglog.ReadFrame(b, s.queues.Salt) // its slices point into the copy
				chosen[i] = sampled{frame, b}
			}
		}
		seen[device] = true
		return records < sampleRecords
	})
	if err != nil {
		return nil, err
	}
	for i := range chosen {
		if c := &chosen[i]; s.hold(c.ID, hand{line: n, size: int64(c.Size)}) {
			list = append(list, s.told(c.Record(c.bytes), c.bytes))
		}
	}
	return list, nil
}

// look reports whether a record is in the log, and whether it is checked out.
func (s *Spool) look(id uint64) (there, held bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, held = s.held.Get(id)
	return s.log.Has(id), held
}

// Return implements store.Spool.
func (s *Spool) Return(l store.Line, keys ...store.SpoolKey) {
	s.eachHeld(l, keys, func(k store.SpoolKey, h hand) {
		if s.held.Delete(k.ID); h.device == 0 {
			s.log.Return(h.out(k.ID))
			h.line.cursor = min(h.line.cursor, k.ID)
		}
	})
}

// Done implements store.Spool.
func (s *Spool) Done(l store.Line, keys ...store.SpoolKey) {
	s.eachHeld(l, keys, func(k store.SpoolKey, h hand) {
		n := h.line
		switch {
		case h.device == 0:
			s.log.End(h.out(k.ID))
			s.held.Delete(k.ID)
		case h.device == s.device(n, k.Token):
			h.done = true
			s.held.Set(k.ID, h)
			s.done = append(s.done, queuedb.KeyOf(n.Name, k.Token, k.ID))
			s.queues.devices.add(h.device, -h.size)
			n.queued--
			n.bytes -= h.size
			s.queued -= h.size
		}
		if n.queued == 0 {
			n.since = 0
		}
	})
	s.flushSoon()
}

// eachHeld calls fn for each of keys that are checked out.
func (s *Spool) eachHeld(l store.Line, keys []store.SpoolKey, fn func(k store.SpoolKey, h hand)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range keys {
		if h, held := s.held.Get(k.ID); held && h.line.Line == l && !h.done {
			fn(k, h)
		}
	}
}
