package boltstore

import (
	"bytes"
	"context"
	"slices"

	"go.etcd.io/bbolt"

	"apnsbridge/store"
)

// makeRoom gives back what is done or has expired, for a Put that has no room. It
// reports whether there was anything.
func (s *LineSpool) makeRoom() bool {
	s.cleaning.Lock()
	defer s.cleaning.Unlock()
	now := s.now().Unix()
	s.mu.Lock()
	before, freed := s.total, s.freed
	idle := s.barren == freed+1 && !s.mayExpire(now)
	s.mu.Unlock()
	if idle {
		return false
	}
	s.sweepLog(now)
	s.sweepQueues(now)
	s.flushNow(false)
	for s.clean(8) {
	}
	s.flushNow(false)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.total < before {
		return true
	}
	s.barren = s.freed + 1
	return false
}

// mayExpire reports whether something may have expired.
func (s *LineSpool) mayExpire(now int64) bool {
	if q := s.queues.soonest; q != 0 && q <= now {
		return true
	}
	return slices.ContainsFunc(s.segments, func(g *segment) bool { return g.mayExpire(now) })
}

func (g *segment) mayExpire(now int64) bool { return g.soonest != 0 && int64(g.soonest) <= now }

// sweepLog ends records in the log that have expired and are in nobody's hands.
func (s *LineSpool) sweepLog(now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range slices.Clone(s.segments) {
		if !g.mayExpire(now) || g.gone {
			continue
		}
		if g.index == nil && s.load(g) != nil || g.index == nil {
			continue
		}
		x := g.index
		s.use(x)
		soonest := uint32(0)
		for i, at := range x.expires {
			switch {
			case at == 0 || x.done.has(i):
			case int64(at) <= now && !x.busy.has(i):
				p := g.sections[x.sections[i]]
				p.add(-1, 0, -int64(x.sizes[i]))
				s.mark(p, x.ids[i], x.sizes[i])
				s.expired++
			case int64(at) > now && (soonest == 0 || at < soonest):
				soonest = at
			}
		}
		g.soonest = soonest // what is in hands now may be missed, and stays until it is done
	}
}

// sweepMost bounds the records of queues that leave at a time.
const sweepMost = 10_000

// sweepQueues ends records in queues that have expired and are in nobody's hands.
func (s *LineSpool) sweepQueues(now int64) {
	s.mu.Lock()
	due := s.queues.soonest != 0 && s.queues.soonest <= now
	lines := make([]*line, 0, len(s.lines))
	for _, n := range s.lines {
		if due && n.queued > 0 {
			lines = append(lines, n)
		}
	}
	s.mu.Unlock()
	soonest, swept := int64(0), 0
	for _, n := range lines {
		s.viewQueue(context.Background(), n, nil, func(c *bbolt.Cursor, key, value []byte) {
			for ; key != nil && swept < sweepMost; key, value = c.Next() {
				f, ok := readFrame(value, s.salt)
				token, id, whole := splitKey(key)
				switch h := (hand{line: n, size: queueBytes(len(token), len(value)), device: s.device(n, token)}); {
				case !ok || !whole || f.expires == 0:
				case f.expires > now:
					if soonest == 0 || f.expires < soonest {
						soonest = f.expires
					}
				case s.hold(id, h):
					swept++
					s.mu.Lock()
					s.expired++
					s.endQueued(store.LineKey{ID: id, Token: bytes.Clone(token)}, h)
					s.mu.Unlock()
				}
			}
		})
	}
	if due && swept < sweepMost {
		s.mu.Lock()
		s.queues.soonest = soonest
		s.mu.Unlock()
	}
}
