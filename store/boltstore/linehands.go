package boltstore

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"apnsbridge/store"
)

// Return implements store.LineSpool.
func (s *LineSpool) Return(l store.Line, keys ...store.LineKey) {
	s.eachHeld(l, keys, func(k store.LineKey, h hand) {
		delete(s.held, k.ID)
		if h.section == nil || h.section.seg.gone {
			return
		}
		h.section.add(0, -1, 0)
		h.line.cursor = min(h.line.cursor, k.ID)
		if x := h.section.seg.index; x != nil {
			if i, ok := x.place(k.ID); ok {
				x.busy.remove(i)
			}
		}
	})
}

// Done implements store.LineSpool.
func (s *LineSpool) Done(l store.Line, keys ...store.LineKey) {
	s.eachHeld(l, keys, func(k store.LineKey, h hand) {
		switch {
		case h.section != nil:
			s.endLogged(k.ID, h)
		case h.device == s.device(h.line, k.Token):
			s.endQueued(k, h)
		}
	})
	s.flushSoon()
}

// eachHeld calls fn for each of keys that somebody holds.
func (s *LineSpool) eachHeld(l store.Line, keys []store.LineKey, fn func(k store.LineKey, h hand)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.known(l)
	for _, k := range keys {
		if h, ok := s.held[k.ID]; ok && h.line == n && !h.ended {
			fn(k, h)
		}
	}
}

// endLogged ends a record of the log that somebody holds.
func (s *LineSpool) endLogged(id uint64, h hand) {
	delete(s.held, id)
	if !h.section.seg.gone {
		h.section.add(-1, -1, -h.size)
		s.mark(h.section, id, uint32(h.size))
	}
}

// mark notes that a record of the log is done.
func (s *LineSpool) mark(p *section, id uint64, size uint32) {
	g := p.seg
	if s.freed++; g.index != nil {
		g.index.end(id)
	}
	if g.loads {
		g.since = append(g.since, id)
	}
	if g.renews {
		g.renewed = append(g.renewed, id)
	}
	if len(g.marks) == 0 {
		s.marked = append(s.marked, g)
	}
	g.marks = appendMark(g.marks, id, size, p.number)
	s.leave(g)
}

// endQueued ends a record of a queue that somebody holds.
func (s *LineSpool) endQueued(k store.LineKey, h hand) {
	s.freed++
	h.ended = true
	s.held[k.ID] = h
	n := h.line
	n.queued--
	n.bytes -= h.size
	n.share.bytes -= h.size
	s.total -= h.size
	s.queues.devices.add(h.device, -h.size)
	s.queues.ended = append(s.queues.ended, queueEnd{n.name, queueKey(k.Token, k.ID), k.ID})
}

// leave has a segment go in which all is done. The last one stays, for the IDs it
// has.
func (s *LineSpool) leave(g *segment) {
	if g.sealed && g.left == 0 && !g.gone && g != s.segments[len(s.segments)-1] {
		s.drop(g)
		s.leaving = append(s.leaving, g)
	}
}

// drop has a segment not count any more.
func (s *LineSpool) drop(g *segment) {
	g.gone = true
	s.total -= g.size
	s.unload(g)
	s.segments = slices.DeleteFunc(s.segments, func(h *segment) bool { return h == g })
	for _, p := range g.sections {
		p.add(-p.left, -p.out, -p.bytes)
		p.line.sections = slices.DeleteFunc(p.line.sections, func(q *section) bool { return q == p })
	}
}

// flushWait is for how long that records are done waits until it is made durable.
const lineFlushWait = 50 * time.Millisecond

func (s *LineSpool) flushSoon() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// tend flushes soon after something was done, and gives back space.
func (s *LineSpool) tend() {
	defer close(s.ended)
	for {
		wait := lineFlushWait
		var probe <-chan time.Time // while writing fails
		if s.failing.is() != nil {
			wait = probeWait
			probe = time.After(probeWait)
		}
		select {
		case <-s.wake:
		case <-probe:
			s.probe()
		case <-s.quit:
			return
		}
		select {
		case <-time.After(wait):
		case <-s.quit:
			return
		}
		s.cleaning.Lock()
		for s.flushNow(false) == nil && s.clean(2) {
		}
		s.cleaning.Unlock()
		s.forgetLines()
		s.tell()
	}
}

// probe finds out whether there is room again for what could not be written.
func (s *LineSpool) probe() {
	path := s.path("probe")
	b := make([]byte, s.failing.room())
	err := os.WriteFile(path+newEnd, b, 0o600)
	err = errors.Join(err, os.Remove(path+newEnd))
	s.failing.note(err, int64(len(b)), s.now())
}

func (s *LineSpool) flush(last bool) error {
	s.cleaning.Lock()
	defer s.cleaning.Unlock()
	return s.flushNow(last)
}

// flushNow makes durable what is done. The caller has s.cleaning.
func (s *LineSpool) flushNow(last bool) error {
	s.mu.Lock()
	moved := s.queues.moved
	s.mu.Unlock()
	s.writing.Lock()
	err := s.writeMarks()
	s.writing.Unlock()
	s.mu.Lock()
	unsynced := s.unsynced
	s.unsynced = nil
	leaving := s.leaving
	s.leaving = nil
	s.mu.Unlock()
	for _, g := range unsynced {
		err = errors.Join(err, s.syncMarks(g))
	}
	for _, g := range leaving {
		err = errors.Join(err, g.remove())
	}
	if err != nil {
		s.failing.note(err, 0, s.now())
		return err
	}
	s.mu.Lock()
	q := s.queues
	q.settled = append(q.settled, moved...)
	q.moved = q.moved[len(moved):]
	write := len(q.ended) > 0 || len(q.settled) > maxSettled || last && len(q.settled) > 0
	s.mu.Unlock()
	if !write {
		return nil
	}
	return s.changeQueues(context.Background(), nil)
}

func (s *LineSpool) syncMarks(g *segment) error {
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
	if err != nil && !g.gone {
		g.dirty = true
		s.unsynced = append(s.unsynced, g)
		return err
	}
	return nil
}
