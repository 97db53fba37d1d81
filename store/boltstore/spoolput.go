package boltstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"apnsbridge/store"
)

// put is a Put at work.
type put struct {
	batches []store.SpoolBatch
	lines   []*line   // of batches
	logged  []int64   // by batch: bytes of frames for the log
	logSize int64     // of all
	ops     []queueOp // what is for queues
	first   uint64    // IDs from here on were given by this Put
	written bool      // the log's part is done with; err says how
	err     error
}

// queueOp is what is done to a queue.
type queueOp struct {
	r      *store.SpoolRecord
	batch  int
	cost   int64
	device uint64
	kind   opKind
}

type opKind byte

const (
	opAdd opKind = iota
	opMove
	opRewrite
)

// Put implements store.Spool.
func (s *Spool) Put(ctx context.Context, batches ...store.SpoolBatch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w := &put{batches: batches}
	if err := w.check(); err != nil || w.logSize == 0 && len(w.ops) == 0 {
		return err
	}
	err := s.admit(w)
	for tries := 0; errors.Is(err, store.ErrSpoolFull) && tries < 3 && s.makeRoom(); tries++ {
		err = s.admit(w)
	}
	if err != nil {
		return err
	}
	if w.logSize > 0 {
		err = s.append(w)
	}
	if err == nil && len(w.ops) > 0 {
		err = s.enqueue(w)
	}
	s.settle(w, err)
	s.flushSoon()
	return err
}

// check makes sure that what is put can be kept, whatever else there is.
func (w *put) check() error {
	for b, batch := range w.batches {
		name, logged := lineName(batch.Line), int64(0)
		l := batch.Line
		if l.App == "" || l.Environment == "" || len(name) > store.MaxSpoolName+2 ||
			strings.Count(name, "\x00") != 2 || !utf8.ValidString(name) {
			return fmt.Errorf("%w: a line has names of %d, %d and %d bytes; "+
				"they can have %d together, of UTF-8 without a zero byte",
				store.ErrUnstorable, len(l.App), len(l.Environment), len(l.Topic), store.MaxSpoolName)
		}
		for i := range batch.Records {
			r := &batch.Records[i]
			if len(r.Token) > store.MaxSpoolToken || len(r.Body) > store.MaxSpoolBody || r.Expires < 0 {
				return fmt.Errorf("%w: it has a token of %d bytes and a body of %d, and expires at %d; "+
					"it can have %d and %d, and no time before 1970",
					store.ErrUnstorable, len(r.Token), len(r.Body), r.Expires, store.MaxSpoolToken, store.MaxSpoolBody)
			}
			size := int64(frameSize(len(name), len(r.Token), len(r.Body)))
			switch {
			case r.Queued:
				w.ops = append(w.ops, queueOp{r: r, batch: b, cost: size})
			case r.ID != 0:
				return fmt.Errorf("%w: record %d is to be put into the log again", store.ErrUnstorable, r.ID)
			default:
				logged += size
			}
		}
		w.logged = append(w.logged, logged)
		w.logSize += logged
	}
	return nil
}

// admit finds room for w, counts it and gives IDs. What is for a queue is in its
// caller's hands from now on, and what is for the log waits to be written.
func (s *Spool) admit(w *put) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.ErrClosed
	}
	w.lines = w.lines[:0]
	for i, batch := range w.batches {
		n := s.line(batch.Line)
		n.puts++
		n.grow(w.logged[i])
		w.lines = append(w.lines, n)
	}
	s.total += w.logSize
	ops := w.ops
	for i := range w.ops {
		op := &w.ops[i]
		if err := s.admitOp(w, op); err != nil {
			w.ops = ops[:i]
			s.withdraw(w, true)
			w.ops = ops
			return err
		}
	}
	if !s.fits(w) {
		s.withdraw(w, true)
		return store.ErrSpoolFull
	}
	w.first = s.lastID + 1
	for i := range w.batches {
		for j := range w.batches[i].Records {
			if r := &w.batches[i].Records[j]; r.ID == 0 {
				s.lastID++
				r.ID = s.lastID
			}
		}
	}
	for _, op := range w.ops {
		if op.kind == opAdd {
			s.held[op.r.ID] = hand{line: w.lines[op.batch], size: op.cost, device: op.device}
		}
	}
	if w.logSize > 0 {
		s.pending = append(s.pending, w)
	}
	return nil
}

// admitOp finds out what op is, and counts it. With an error it has counted nothing.
func (s *Spool) admitOp(w *put, op *queueOp) error {
	n := w.lines[op.batch]
	op.device, op.kind = s.device(n, op.r.Token), opAdd
	if op.r.ID != 0 {
		h := s.held[op.r.ID]
		if h.line != n || h.state != inHands || h.seg == nil && h.device != op.device {
			return fmt.Errorf("%w: record %d is not in the caller's hands", store.ErrUnstorable, op.r.ID)
		}
		if op.kind = opMove; h.seg == nil {
			op.kind, op.cost = opRewrite, 0
		}
	} else if s.total > s.bounds.total/2 && s.queues.devices.bytes(op.device)+op.cost > s.bounds.device {
		return store.ErrDeviceFull
	}
	s.queues.devices.add(op.device, op.cost)
	n.grow(op.cost)
	s.total += op.cost
	return nil
}

// withdraw takes back what admit has counted, with the log's part or without.
func (s *Spool) withdraw(w *put, logged bool) {
	for i, n := range w.lines {
		if n.puts--; logged {
			n.grow(-w.logged[i])
		}
	}
	if logged {
		s.total -= w.logSize
	}
	for _, op := range w.ops {
		s.queues.devices.add(op.device, -op.cost)
		w.lines[op.batch].grow(-op.cost)
		s.total -= op.cost
	}
}

// settle ends a Put: what it has done to queues counts, or all is undone.
func (s *Spool) settle(w *put, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		for i := range w.ops {
			s.queued(w.lines[w.ops[i].batch], &w.ops[i])
		}
		for _, n := range w.lines {
			n.puts--
		}
		return
	}
	s.withdraw(w, w.err != nil)
	for i, batch := range w.batches {
		for j := range batch.Records {
			r := &batch.Records[j]
			if r.ID < w.first {
				continue
			}
			if h := s.held[r.ID]; h.seg != nil { // it has come into the log, but others not into queues
				w.lines[i].waiting.Add(1)
				s.endLogged(r.ID, h)
			}
			delete(s.held, r.ID)
			r.ID = 0
		}
	}
}

// queued has what op has done count.
func (s *Spool) queued(n *line, op *queueOp) {
	switch op.kind {
	case opRewrite:
		return
	case opMove:
		n.waiting.Add(1)
		s.endLogged(op.r.ID, s.held[op.r.ID])
		s.queues.moved = append(s.queues.moved, op.r.ID)
	}
	s.held[op.r.ID] = hand{line: n, size: op.cost, device: op.device}
	if n.queued++; n.queued == 1 {
		n.since = unix32(s.now())
	}
}
