package boltstore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"unicode/utf8"

	"apnsbridge/store"
	"apnsbridge/store/boltstore/seglog"
)

// put is a Put under way.
type put struct {
	batches []store.SpoolBatch
	lines   []*line      // of batches
	queued  int          // records for queues
	since   int64        // when it was admitted, in seconds since 1970
	log     seglog.Batch // records for the log; this Put has assigned the IDs from its First on
	err     error        // from writing log
}

// all gives all records.
func (w *put) all(yield func(*line, *store.SpoolRecord) bool) {
	for i, batch := range w.batches {
		for j := range batch.Records {
			if !yield(w.lines[i], &batch.Records[j]) {
				return
			}
		}
	}
}

// records gives the records for queues, or those for the log.
func (w *put) records(queued bool) iter.Seq2[*line, *store.SpoolRecord] {
	return func(yield func(*line, *store.SpoolRecord) bool) {
		for n, r := range w.all {
			if r.Queued == queued && !yield(n, r) {
				return
			}
		}
	}
}

// logged gives the records for the log.
func (w *put) logged(yield func(*seglog.Tally, *store.SpoolRecord) bool) {
	for n, r := range w.records(false) {
		if !yield(&n.Tally, r) {
			return
		}
	}
}

// cost is how many bytes a record takes. It is the same in a queue as in the log, so that
// a move gives back as much room as it needs.
func (n *line) cost(r *store.SpoolRecord) int64 {
	return int64(seglog.FrameSize(len(n.Name), len(r.Token), len(r.Body)))
}

// Put implements store.Spool.
func (s *Spool) Put(ctx context.Context, batches ...store.SpoolBatch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w := &put{batches: batches}
	if err := w.check(); err != nil {
		return err
	}
	err := s.admit(w)
	for parts := int64(8); errors.Is(err, store.ErrSpoolFull) && parts <= finestPart; parts *= 4 {
		s.makeRoom(parts)
		err = s.admit(w)
	}
	if err != nil {
		return err
	}
	if w.log.Bytes > 0 {
		w.err = s.log.Commit(&w.log)
		err = w.err
	}
	if err == nil && w.queued > 0 {
		err = s.enqueue(w)
	}
	s.settle(w, err)
	s.flushSoon()
	return err
}

// check makes sure that the records of w could be stored in an empty spool.
func (w *put) check() error {
	for _, batch := range w.batches {
		l, name := batch.Line, batch.Line.Joined()
		if l.App == "" || l.Environment == "" || len(name) > store.MaxSpoolName+2 ||
			strings.Count(name, "\x00") != 2 || !utf8.ValidString(name) {
			return fmt.Errorf("%w: a line has names of %d, %d and %d bytes; "+
				"they can have %d together, of UTF-8 without a zero byte",
				store.ErrUnstorable, len(l.App), len(l.Environment), len(l.Topic), store.MaxSpoolName)
		}
		for _, r := range batch.Records {
			if len(r.Token) > store.MaxSpoolToken || len(r.Body) > store.MaxSpoolBody || r.Expires < 0 {
				return fmt.Errorf("%w: it has a token of %d bytes and a body of %d, and expires at %d; "+
					"it can have %d and %d, and no time before 1970",
					store.ErrUnstorable, len(r.Token), len(r.Body), r.Expires, store.MaxSpoolToken, store.MaxSpoolBody)
			}
			if r.ID != 0 && !r.Queued {
				return fmt.Errorf("%w: record %d is to be put into the log again", store.ErrUnstorable, r.ID)
			}
		}
	}
	return nil
}

// admit finds room for w, counts it and assigns IDs. From now on its new records are
// checked out by the caller, and what is for the log waits to be written.
func (s *Spool) admit(w *put) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.ErrClosed
	}
	w.since = s.now().Unix()
	w.lines, w.log, w.queued = w.lines[:0], seglog.Batch{Records: w.logged, First: s.lastID + 1}, 0
	for _, batch := range w.batches {
		w.lines = append(w.lines, s.line(batch.Line))
	}
	if err := s.fits(w); err != nil {
		return err
	}
	for _, n := range w.lines {
		n.puts++
	}
	for n, r := range w.all {
		h, old := s.held.Get(r.ID)
		if !old {
			s.lastID++
			r.ID = s.lastID
			if h = (hand{line: n, size: n.cost(r)}); r.Queued {
				h.device = s.device(n, r.Token)
			}
			s.held.Set(r.ID, h)
		}
		if !r.Queued {
			w.log.Bytes += h.size
		} else if w.queued++; !old || h.device == 0 {
			s.inQueue(n, r, n.cost(r))
		}
	}
	if w.log.Bytes > 0 {
		s.log.Announce(&w.log)
	}
	return nil
}

// inQueue counts the bytes that a record takes in its queue.
func (s *Spool) inQueue(n *line, r *store.SpoolRecord, size int64) {
	s.queues.devices.add(s.device(n, r.Token), size)
	n.bytes += size
	s.queued += size
}

// settle ends a Put: its changes to queues are counted or, with an error, everything is
// undone.
func (s *Spool) settle(w *put, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range w.lines {
		n.puts--
	}
	for n, r := range w.records(true) {
		h, _ := s.held.Get(r.ID)
		switch old := r.ID < w.log.First; {
		case old && h.device != 0: // its flags were rewritten
			s.queues.flags.Add(1)
		case err != nil:
			s.inQueue(n, r, -n.cost(r))
		default:
			if old {
				s.log.End(h.out(r.ID))
				s.held.Set(r.ID, hand{line: n, size: n.cost(r), device: s.device(n, r.Token)})
			}
			n.queued++
			n.seen(w.since)
		}
	}
	if err == nil {
		return
	}
	if w.err == nil { // the log has been written, but not the queues
		for _, r := range w.records(false) {
			h, _ := s.held.Get(r.ID)
			s.log.End(h.out(r.ID))
		}
	}
	for _, r := range w.all {
		if r.ID >= w.log.First {
			s.held.Delete(r.ID)
			r.ID = 0
		}
	}
}
