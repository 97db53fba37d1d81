package boltstore

import (
	"context"
	"errors"
	"hash/maphash"
	"io/fs"
	"math/rand/v2"
	"slices"

	"apnsbridge/store"
)

const (
	sampleRecords = 100_000
	sampleBytes   = 48 << 20 // of segments, with what others have there
)

// errRenewed says that a segment was written anew while it was read.
var errRenewed = errors.New("store: a segment was written anew")

// Sample implements store.Spool.
func (s *Spool) Sample(
	ctx context.Context, l store.Line, limit int, free func(token []byte) bool,
) (list []store.SpoolRecord, err error) {
	n := s.known(l)
	if err := errors.Join(ctx.Err(), s.open()); err != nil || n == nil || n.waiting.Load() == 0 {
		return nil, err
	}
	for tries := 0; tries == 0 || tries < 5 && (errors.Is(err, errRenewed) || errors.Is(err, fs.ErrNotExist)); tries++ {
		list, err = s.sample(n, limit, free)
	}
	return list, err
}

// sampled is a record that Sample may give.
type sampled struct {
	hand
	store.SpoolRecord
}

func (s *Spool) sample(n *line, limit int, free func(token []byte) bool) ([]store.SpoolRecord, error) {
	var chosen []sampled
	records, firsts, seen := 0, 0, make(map[uint64]bool, min(n.waiting.Load(), sampleRecords))
	first, ends := s.beginning(n)
	for i, g := range first {
		_, err := s.scan(g, 0, ends[i], func(sc *scanner, f frame, at int64) bool {
			h := hand{line: n, seg: g, off: at, size: int64(f.size)}
			if string(f.name) != n.name || s.isDone(h) {
				return true
			}
			records++
			token := maphash.Bytes(s.seed, f.token)
			if !seen[token] && !s.holds(f.id) && free(f.token) {
				// Each has the same chance to be among the chosen.
				if firsts++; len(chosen) < limit {
					chosen = append(chosen, sampled{h, s.record(sc.bytes(at, f.size), f.id, g.name.salt)})
				} else if i := rand.IntN(firsts); i < limit {
					chosen[i] = sampled{h, s.record(sc.bytes(at, f.size), f.id, g.name.salt)}
				}
			}
			seen[token] = true
			return records < sampleRecords
		})
		if err != nil {
			return nil, err
		}
	}
	var list []store.SpoolRecord
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range first {
		if g.gone && slices.ContainsFunc(chosen, func(c sampled) bool { return c.seg == g }) {
			return nil, errRenewed
		}
	}
	for _, c := range chosen {
		if s.claim(c.hand, c.ID) {
			list = append(list, c.SpoolRecord)
		}
	}
	return list, nil
}

// beginning is what Sample looks at.
func (s *Spool) beginning(n *line) (first []*segment, ends []int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	bytes := int64(0)
	for _, g := range s.segments {
		if c := g.counts[n]; c != nil && c.records > 0 && bytes < sampleBytes {
			first, ends = append(first, g), append(ends, g.size)
			bytes += g.size
		}
	}
	return first, ends
}
