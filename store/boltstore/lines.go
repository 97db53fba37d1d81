package boltstore

import (
	"maps"
	"sync"
	"sync/atomic"

	"apnsbridge/store"
)

// lines are the lines of a spool by what they are called. A lane asks for every
// notification, so most questions are answered without its lock.
type lines struct {
	any    atomic.Bool          // there are lines
	latest atomic.Pointer[line] // the one that was asked about last; or nil

	mu sync.RWMutex // taken after the spool's
	by map[store.Line]*line
}

// known gives the line l, or nil.
func (s *lines) known(l store.Line) *line {
	if !s.any.Load() {
		return nil
	}
	if n := s.latest.Load(); n != nil && n.Line == l {
		return n
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	n := s.by[l]
	if n != nil {
		s.latest.Store(n) // while none is being removed
	}
	return n
}

// add adds a line that is not known.
func (s *lines) add(n *line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.by[n.Line] = n
	s.any.Store(true)
}

// remove removes the lines of which gone is true.
func (s *lines) remove(gone func(*line) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.by, func(_ store.Line, n *line) bool { return gone(n) })
	s.any.Store(len(s.by) > 0)
	s.latest.Store(nil)
}
