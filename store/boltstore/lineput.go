package boltstore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"apnsbridge/store"
)

// put is a Put at work.
type put struct {
	batches []store.LineBatch
	lines   []*line   // of batches
	sizes   []int64   // by batch: bytes of what is new
	ops     []queueOp // what is for queues
	first   uint64    // IDs from here on were given by this Put
	logged  int       // records for the log
	logSize int64     // bytes of their frames
	fresh   int64     // bytes of what is new
	moved   int64     // bytes of what is moved to queues
	written bool      // the log's part is done with; err says how
	err     error
}

// queueOp is what is done to a queue.
type queueOp struct {
	r      *store.LineRecord
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

// Put implements store.LineSpool.
func (s *LineSpool) Put(ctx context.Context, batches ...store.LineBatch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w := &put{batches: batches}
	if err := w.check(); err != nil || w.logged+len(w.ops) == 0 {
		return err
	}
	err := s.admit(w)
	for tries := 0; errors.Is(err, store.ErrSpoolFull) && tries < 3 && s.makeRoom(); tries++ {
		err = s.admit(w)
	}
	if err != nil {
		return err
	}
	if w.logged > 0 {
		err = s.append(w)
	}
	if err == nil && len(w.ops) > 0 {
		err = s.enqueue(w)
	}
	s.settle(w, err)
	if len(w.ops) > 0 {
		s.flushSoon()
	}
	return err
}

// check makes sure that what is put can be kept, whatever else there is.
func (w *put) check() error {
	for b, batch := range w.batches {
		name, size := lineName(batch.Line), int64(0)
		if l := batch.Line; l.App == "" || l.Environment == "" || len(name) > store.MaxSpoolName+2 || strings.Count(name, "\x00") != 2 {
			return fmt.Errorf("%w: a line has names of %d, %d and %d bytes; they can have %d together, and no zero byte",
				store.ErrUnstorable, len(l.App), len(l.Environment), len(l.Topic), store.MaxSpoolName)
		}
		for i := range batch.Records {
			r := &batch.Records[i]
			if len(r.Token) > store.MaxSpoolToken || len(r.Body) > store.MaxSpoolBody || r.Expires < 0 {
				return fmt.Errorf("%w: it has a token of %d bytes and a body of %d, and expires at %d; it can have %d and %d, and no time before 1970",
					store.ErrUnstorable, len(r.Token), len(r.Body), r.Expires, store.MaxSpoolToken, store.MaxSpoolBody)
			}
			switch {
			case r.Queued:
				op := queueOp{r: r, batch: b, cost: queueCost(len(name), len(r.Token), len(r.Body))}
				if w.ops = append(w.ops, op); r.ID == 0 {
					size += op.cost
				}
			case r.ID != 0:
				return fmt.Errorf("%w: record %d is to be put into the log again", store.ErrUnstorable, r.ID)
			default:
				w.logged++
				frame := int64(frameSize(len(name), len(r.Token), len(r.Body)))
				size += frame
				w.logSize += frame
			}
		}
		w.sizes = append(w.sizes, size)
		w.fresh += size
	}
	return nil
}

// admit finds room for w and gives IDs. What is for a queue is in its caller's
// hands from now on, and what is for the log waits to be written.
func (s *LineSpool) admit(w *put) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.ErrClosed
	}
	w.lines = w.lines[:0]
	for _, batch := range w.batches {
		w.lines = append(w.lines, s.line(batch.Line))
	}
	done := 0
	for w.moved = 0; done < len(w.ops) && err == nil; done++ {
		err = s.admitOp(w, &w.ops[done])
	}
	if err == nil && !s.fits(w) {
		err = store.ErrSpoolFull
	}
	if err != nil {
		for _, op := range w.ops[:done] {
			s.queues.devices.add(op.device, -op.grows())
		}
		return err
	}
	w.first = s.lastID + 1
	s.total += w.fresh + w.moved
	for i, batch := range w.batches {
		w.lines[i].puts++
		w.lines[i].share.puts += w.sizes[i]
		for j := range batch.Records {
			if r := &batch.Records[j]; r.ID == 0 {
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
	if w.logged > 0 {
		s.pending = append(s.pending, w)
	}
	return nil
}

// grows is by how many bytes op has its queue grow.
func (op *queueOp) grows() int64 {
	if op.kind == opRewrite {
		return 0
	}
	return op.cost
}

// admitOp finds out what op is, and counts it to its device.
func (s *LineSpool) admitOp(w *put, op *queueOp) error {
	n := w.lines[op.batch]
	op.device, op.kind = s.device(n, op.r.Token), opAdd
	if op.r.ID != 0 {
		h, ok := s.held[op.r.ID]
		if !ok || h.ended || h.line != n || h.section == nil && h.device != op.device {
			op.kind = opRewrite // which counts nothing
			return fmt.Errorf("%w: record %d is not in the caller's hands", store.ErrUnstorable, op.r.ID)
		}
		if op.kind = opMove; h.section == nil {
			op.kind = opRewrite
		}
	}
	s.queues.devices.add(op.device, op.grows())
	switch {
	case op.kind == opMove:
		w.moved += op.cost
	case op.kind == opAdd && s.queues.devices.bytes(op.device) > s.bounds.device:
		return store.ErrDeviceFull
	}
	return nil
}

// settle ends a Put: what it has changed counts, or is undone.
func (s *LineSpool) settle(w *put, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, n := range w.lines {
		n.puts--
		n.share.puts -= w.sizes[i]
	}
	if err == nil {
		s.queued(w)
		return
	}
	for _, op := range w.ops {
		s.queues.devices.add(op.device, -op.grows())
		s.total -= op.grows()
		if op.kind == opAdd {
			delete(s.held, op.r.ID)
		}
	}
	if w.err != nil {
		s.total -= w.logSize
	}
	for _, batch := range w.batches {
		for j := range batch.Records {
			r := &batch.Records[j]
			if r.ID < w.first {
				continue
			}
			if h, ok := s.held[r.ID]; ok { // it has come into the log, but not what is for queues
				s.endLogged(r.ID, h)
			}
			r.ID = 0
		}
	}
}

// queued has what a Put has done to queues count.
func (s *LineSpool) queued(w *put) {
	now := unix32(s.now())
	for _, op := range w.ops {
		if op.kind == opRewrite {
			continue
		}
		n := w.lines[op.batch]
		if op.kind == opMove {
			s.endLogged(op.r.ID, s.held[op.r.ID])
			s.queues.moved = append(s.queues.moved, op.r.ID)
		}
		s.held[op.r.ID] = hand{line: n, size: op.cost, device: op.device}
		if n.queued++; n.queued == 1 {
			n.since = now
		}
		n.bytes += op.cost
		n.share.bytes += op.cost
		s.queues.expires(op.r.Expires)
	}
}
