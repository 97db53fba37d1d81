package boltstore

import (
	"bytes"
	"context"
	"errors"
	"hash/maphash"
	"io/fs"
	"math"
	"math/rand/v2"

	"apnsbridge/store"
)

// Take implements store.Spool. It reads on from where it was, or from the first that
// was returned.
func (s *Spool) Take(ctx context.Context, l store.Line, limit int, most int64) (list []store.SpoolRecord, err error) {
	n, err := s.begin(ctx, l)
	if err != nil || n == nil {
		return nil, err
	}
	n.reading.Lock()
	defer n.reading.Unlock()
	s.mu.Lock()
	at := n.cursor
	n.cursor = math.MaxUint64 // which Return lowers
	s.mu.Unlock()
	for full := limit <= 0; !full && err == nil; {
		g, from, end, last := s.next(n, at)
		if g == nil {
			break
		}
		err = s.scan(g, from, end, func(sc *scanner, f frame, off int64) bool {
			if f.id < at || string(f.name) != n.name {
				return true
			}
			at = f.id
			payload := int64(f.size - frameSize(len(f.name), 0, 0))
			if full = len(list) >= limit || len(list) > 0 && payload > most; full {
				return false
			}
			if s.claim(n, f, g, off) {
				b := sc.read(off, f.size)
				most -= payload
				list = append(list, s.told(f.record(b), b[:min(len(b), f.size)]))
			}
			at++
			return true
		})
		if !full && err == nil {
			at = max(at, last+1)
		}
		if errors.Is(err, fs.ErrNotExist) && s.isGone(g) {
			err = nil // it stands elsewhere now
		}
	}
	s.mu.Lock()
	n.cursor = min(n.cursor, at)
	s.mu.Unlock()
	if len(list) > 0 {
		err = nil // it comes again, if it is still so
	}
	return list, err
}

// next is the first segment with something of n that has the ID at or a higher one,
// and which part of it to read for that.
func (s *Spool) next(n *line, at uint64) (g *segment, from, end int64, last uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.segments[s.behind(at):] {
		if g.counts[n].Records > 0 {
			return g, g.before(at), g.Size, g.Last
		}
	}
	return nil, 0, 0, 0
}

func (s *Spool) isGone(g *segment) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return g.gone
}

// claim checks out a record that was found in g, if it is there and not checked out
// yet.
func (s *Spool) claim(n *line, f frame, g *segment, off int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.segment(f.id)
	if now == g {
		g.found(f.id, off)
	}
	if _, held := s.held[f.id]; held || now == nil || now.isDone(f.id) {
		return false
	}
	s.held[f.id] = hand{line: n, size: int64(f.size)}
	n.waiting.Add(-1)
	return true
}

// told is r, which stands in b. If it is broken that is counted, and b kept for the
// operator.
func (s *Spool) told(r store.SpoolRecord, b []byte) store.SpoolRecord {
	if r.Broken != nil {
		s.mu.Lock()
		s.broken++
		s.mu.Unlock()
		s.keepBroken(bytes.NewReader(b))
	}
	return r
}

const (
	sampleRecords = 100_000
	sampleBytes   = 48 << 20 // of segments, with what others have there
)

// Sample implements store.Spool.
func (s *Spool) Sample(
	ctx context.Context, l store.Line, limit int, free func(token []byte) bool,
) (list []store.SpoolRecord, err error) {
	n, err := s.begin(ctx, l)
	if err != nil || n == nil || n.waiting.Load() == 0 {
		return nil, err
	}
	type sampled struct {
		f   frame
		g   *segment
		off int64
		b   []byte
	}
	var chosen []sampled
	records, firsts, seen := 0, 0, make(map[uint64]bool, min(n.waiting.Load(), sampleRecords))
	for at, size := uint64(0), int64(0); records < sampleRecords && size < sampleBytes; {
		g, _, end, last := s.next(n, at)
		if g == nil {
			break
		}
		err := s.scan(g, 0, end, func(sc *scanner, f frame, off int64) bool {
			if string(f.name) != n.name || f.id < at {
				return true
			}
			there, held := s.look(f.id)
			if !there {
				return true
			}
			records++
			device := maphash.Bytes(s.seed, f.token)
			if !seen[device] && !held && free(f.token) {
				// Each has the same chance to be among the chosen.
				firsts++
				i := len(chosen)
				if i < limit {
					chosen = append(chosen, sampled{})
				} else {
					i = rand.IntN(firsts)
				}
				if i < limit {
					chosen[i] = sampled{f, g, off, bytes.Clone(sc.read(off, f.size)[:f.size])}
				}
			}
			seen[device] = true
			return records < sampleRecords
		})
		if err != nil && !s.isGone(g) {
			return nil, err
		}
		at, size = last+1, size+end
	}
	for _, c := range chosen {
		if s.claim(n, c.f, c.g, c.off) {
			list = append(list, s.told(c.f.record(c.b), c.b))
		}
	}
	return list, nil
}

// look says of a record of the log whether it is there, and checked out.
func (s *Spool) look(id uint64) (there, held bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.segment(id)
	_, held = s.held[id]
	return g != nil && !g.isDone(id), held
}

// Return implements store.Spool.
func (s *Spool) Return(l store.Line, keys ...store.SpoolKey) {
	s.eachHeld(l, keys, func(k store.SpoolKey, h hand) {
		if delete(s.held, k.ID); h.device == 0 {
			h.line.waiting.Add(1)
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
			s.endLogged(k.ID, h)
		case h.device == s.device(n, k.Token):
			h.done = true
			s.held[k.ID] = h
			s.done = append(s.done, queueEnd{n.name, queueKey(k.Token, k.ID), k.ID})
			s.queues.devices.add(h.device, -h.size)
			n.queued--
			n.bytes -= h.size
			s.total -= h.size
		}
		if n.log+n.queued == 0 {
			n.since = 0
		}
	})
	s.flushSoon()
}

// eachHeld calls fn for each of keys that are checked out.
func (s *Spool) eachHeld(l store.Line, keys []store.SpoolKey, fn func(k store.SpoolKey, h hand)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.known(l)
	for _, k := range keys {
		if h, held := s.held[k.ID]; held && h.line == n && !h.done {
			fn(k, h)
		}
	}
}

// endLogged ends a record of the log that is held.
func (s *Spool) endLogged(id uint64, h hand) {
	g := s.segment(id)
	h.line.waiting.Add(1)
	g.add(h.line, -1, -h.size)
	g.setDone(id)
	delete(s.held, id)
}
