package boltstore

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"

	"apnsbridge/store"
)

const (
	sampleRecords  = 100_000
	sampleSegments = maxLoaded
)

// sampled is what Sample looks at of a segment, as it was.
type sampled struct {
	section    *section
	x          index // its slices
	busy, done bitmap
}

// Sample implements store.LineSpool.
func (s *LineSpool) Sample(ctx context.Context, l store.Line, limit int, free func(token []byte) bool) (records []store.LineRecord, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	look, err := s.beginning(l)
	if err != nil {
		return nil, err
	}
	type place struct{ in, i int }
	var places []place
	seen := make(map[uint32]bool)
	count := 0
	for in, v := range look {
		for i, n := range v.x.sections {
			if n != v.section.number || v.done.has(i) || count == sampleRecords {
				continue
			}
			count++
			if token := v.x.tokens[i]; !seen[token] {
				seen[token] = true
				if !v.busy.has(i) {
					places = append(places, place{in, i})
				}
			}
		}
	}
	rand.Shuffle(len(places), func(i, j int) { places[i], places[j] = places[j], places[i] })
	files := make([]*os.File, len(look))
	defer func() {
		for _, f := range files {
			if f != nil {
				f.Close()
			}
		}
	}()
	for _, at := range places {
		if len(records) >= limit {
			break
		}
		v := &look[at.in]
		if files[at.in] == nil {
			if files[at.in], err = os.Open(v.section.seg.path); errors.Is(err, fs.ErrNotExist) {
				break // it is being written anew: another time
			} else if err != nil {
				return records, err
			}
		}
		p := pick{id: v.x.ids[at.i], seg: v.section.seg, off: int64(v.x.offs[at.i]), size: int(v.x.sizes[at.i])}
		r := s.readFrom(files[at.in], []pick{p}, nil)[0]
		if (r.Token == nil || free(r.Token)) && s.outSampled(v.section, p.id) {
			records = append(records, r)
		}
	}
	return records, nil
}

// beginning is what Sample looks at.
func (s *LineSpool) beginning(l store.Line) (look []sampled, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, store.ErrClosed
	}
	n := s.known(l)
	if n == nil || n.waiting.Load() == 0 {
		return nil, nil
	}
again:
	look = look[:0]
	count := 0
	for _, p := range n.sections {
		if p.left == 0 {
			continue
		}
		if count >= sampleRecords || len(look) == sampleSegments {
			break
		}
		x := p.seg.index
		if x == nil {
			if err := s.load(p.seg); err != nil {
				return nil, err
			}
			goto again
		}
		s.use(x)
		look = append(look, sampled{section: p, x: *x, busy: slices.Clone(x.busy), done: slices.Clone(x.done)})
		count += p.left
	}
	return look, nil
}

// outSampled has a record be in the caller's hands, if it is still in nobody's.
func (s *LineSpool) outSampled(p *section, id uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := p.seg.index
	if p.seg.gone || x == nil {
		return false
	}
	i, ok := x.place(id)
	if !ok || x.busy.has(i) {
		return false
	}
	s.out(p, i)
	return true
}
