package boltstore

import (
	"slices"
	"strings"

	"apnsbridge/store"
)

// Waiting implements store.Spool.
func (s *Spool) Waiting(l store.Line) int {
	if n := s.known(l); n != nil {
		return int(n.waiting.Load())
	}
	return 0
}

// Queued implements store.Spool.
func (s *Spool) Queued(l store.Line, token []byte) bool {
	if s.queues.devices.empty() {
		return false
	}
	n := s.known(l)
	return n != nil && s.queues.devices.bytes(s.device(n, token)) > 0
}

// Lines implements store.Spool.
func (s *Spool) Lines() (lines []store.Line) {
	for _, w := range s.Stats().Lines {
		lines = append(lines, w.Line)
	}
	return lines
}

// Stats implements store.Spool.
func (s *Spool) Stats() store.SpoolStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	aside, _ := damagedFiles(s.dir)
	stats := store.SpoolStats{
		Bytes: s.total, Bound: s.bounds.total, Segments: len(s.segments),
		Expired: s.expired, Broken: s.broken, SetAside: aside,
	}
	for _, n := range s.lines {
		if n.log+n.queued == 0 {
			continue
		}
		w := store.LineWaiting{Line: n.Line, Log: n.log, Queued: n.queued, Bytes: n.bytes, Since: int64(n.since)}
		for _, g := range s.segments {
			if c := g.counts[n]; c != nil && c.records > 0 && (n.queued == 0 || g.footer.Put < n.since) {
				w.Since = int64(g.footer.Put)
				break
			}
		}
		stats.Lines = append(stats.Lines, w)
	}
	slices.SortFunc(stats.Lines, func(a, b store.LineWaiting) int {
		return strings.Compare(lineName(a.Line), lineName(b.Line))
	})
	return stats
}
