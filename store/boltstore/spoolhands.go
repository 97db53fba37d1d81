package boltstore

import (
	"errors"
	"slices"
	"time"

	"apnsbridge/store"
)

// Return implements store.Spool.
func (s *Spool) Return(l store.Line, keys ...store.SpoolKey) {
	s.eachHeld(l, keys, func(k store.SpoolKey, h hand) {
		if h.seg != nil {
			h.line.waiting.Add(1)
		}
		if h.seg == nil || k.ID >= h.line.cursor {
			delete(s.held, k.ID) // it will be read where it stands
			return
		}
		h.state = returned
		s.held[k.ID] = h
		h.line.returned = append(h.line.returned, k.ID)
	})
}

// Done implements store.Spool.
func (s *Spool) Done(l store.Line, keys ...store.SpoolKey) {
	s.eachHeld(l, keys, func(k store.SpoolKey, h hand) {
		if h.seg != nil {
			h.line.waiting.Add(1)
			s.endLogged(k.ID, h)
		} else if h.device == s.device(h.line, k.Token) {
			s.endQueued(k, h)
		}
	})
	s.flushSoon()
}

// eachHeld calls fn for each of keys that are in somebody's hands.
func (s *Spool) eachHeld(l store.Line, keys []store.SpoolKey, fn func(k store.SpoolKey, h hand)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.known(l)
	for _, k := range keys {
		if h, ok := s.held[k.ID]; ok && h.line == n && h.state == inHands {
			fn(k, h)
		}
	}
}

// endLogged ends a record of the log. If it was moved to a queue, it may be
// checked out there.
func (s *Spool) endLogged(id uint64, h hand) {
	g := h.seg
	if s.held[id].seg == g {
		delete(s.held, id)
	}
	s.freed++
	h.line.grow(-h.size)
	g.add(h.line, -1, -h.size)
	g.setDone(h.off)
	if len(g.marks) == 0 {
		s.marked = append(s.marked, g)
	}
	g.marks = appendMark(g.marks, h.off)
	s.leave(g)
}

// endQueued ends a record of a queue.
func (s *Spool) endQueued(k store.SpoolKey, h hand) {
	s.freed++
	h.state = ended
	s.held[k.ID] = h
	h.line.queued--
	h.line.grow(-h.size)
	s.total -= h.size
	s.queues.devices.add(h.device, -h.size)
	s.queues.ended = append(s.queues.ended, queueEnd{h.line.name, queueKey(k.Token, k.ID), k.ID})
}

// leave has a segment go in which all is done. The last one stays, for the IDs it
// has.
func (s *Spool) leave(g *segment) {
	if g.sealed && g.left == 0 && !g.gone && g != s.segments[len(s.segments)-1] {
		s.drop(g)
	}
}

// drop has a segment of which nothing is needed any more go.
func (s *Spool) drop(g *segment) {
	g.gone = true
	s.total -= g.size
	s.segments = slices.DeleteFunc(s.segments, func(h *segment) bool { return h == g })
	s.leaving = append(s.leaving, g)
}

// flushWait is for how long that records are done waits until it is durable.
const flushWait = 50 * time.Millisecond

func (s *Spool) flushSoon() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// tend flushes soon after something was put or done, gives back space, and tells what
// waits.
func (s *Spool) tend() {
	defer close(s.ended)
	s.tell()
	var telling <-chan time.Time
	for wait := flushWait; ; {
		select {
		case <-s.wake:
		case <-telling:
			s.tell()
			telling = nil
			continue
		case <-s.quit:
			return
		}
		if telling == nil {
			telling = time.After(tellWait)
		}
		select {
		case <-time.After(wait):
		case <-s.quit:
			return
		}
		s.cleaning.Lock()
		err := s.flushNow(false)
		for s.clean(2) {
			err = s.flushNow(false)
		}
		s.cleaning.Unlock()
		if wait = flushWait; err != nil {
			wait = probeWait
			s.flushSoon()
		}
		s.forgetLines()
	}
}

func (s *Spool) flush(last bool) error {
	s.cleaning.Lock()
	defer s.cleaning.Unlock()
	return s.flushNow(last)
}

// flushNow makes durable what is done. The caller has s.cleaning.
func (s *Spool) flushNow(last bool) error {
	s.mu.Lock()
	moved := len(s.queues.moved)
	s.mu.Unlock()
	s.writing.Lock()
	err := s.writeMarks()
	s.writing.Unlock()
	s.mu.Lock()
	unsynced, leaving := s.unsynced, s.leaving
	s.unsynced, s.leaving = nil, nil
	s.mu.Unlock()
	for _, g := range unsynced {
		err = errors.Join(err, s.syncMarks(g))
	}
	for i, g := range leaving {
		if gone := g.remove(); gone != nil {
			err = errors.Join(err, gone)
			s.mu.Lock()
			s.leaving = append(s.leaving, leaving[i:]...)
			s.mu.Unlock()
			break
		}
	}
	if err != nil {
		s.queues.failing.note(err, 0, s.now())
		return errors.Join(err, s.changeQueues(nil)) // whose writer finds out when it is over
	}
	s.mu.Lock()
	q := s.queues
	q.settled = append(q.settled, q.moved[:moved]...)
	q.moved = slices.Delete(q.moved, 0, moved)
	change := len(q.ended) > 0 || len(q.settled) > maxSettled || last && len(q.settled) > 0 || q.failing.is() != nil
	s.mu.Unlock()
	if !change {
		return nil
	}
	return s.changeQueues(nil)
}

// writeMarks writes what is done since the last time. The caller has s.writing.
func (s *Spool) writeMarks() (failed error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	marked := s.marked
	s.marked = nil
	for _, g := range marked {
		marks := g.marks
		g.marks = nil
		if g.gone {
			continue
		}
		s.mu.Unlock()
		err := g.writeMarks(marks)
		s.mu.Lock()
		switch {
		case err != nil:
			failed = errors.Join(failed, err)
			if len(g.marks) == 0 {
				s.marked = append(s.marked, g)
			}
			g.marks = append(marks, g.marks...)
		default:
			if g.marked += int64(len(marks)); !g.dirty {
				g.dirty = true
				s.unsynced = append(s.unsynced, g)
			}
		}
	}
	return failed
}

// syncMarks makes durable what was written of g's.
func (s *Spool) syncMarks(g *segment) error {
	s.mu.Lock()
	g.dirty = false
	gone := g.gone
	s.mu.Unlock()
	if gone {
		return nil
	}
	err := g.syncMarks()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && !g.gone && !g.dirty {
		g.dirty = true
		s.unsynced = append(s.unsynced, g)
	}
	return err
}
