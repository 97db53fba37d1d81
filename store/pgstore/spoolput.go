package pgstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"apnsbridge/store"
)

// put is what a Put writes.
type put struct {
	lines  []*lineWrite // in the order in which their lines are held
	byName map[store.Line]*lineWrite
}

// lineWrite is what a transaction writes of a line. The records belong to the caller.
type lineWrite struct {
	line   *line
	logged []*logRow
	queued []*queueRow
	flags  []*store.SpoolRecord // queued records whose flags are rewritten
	now    int64                // seconds since 1970

	fresh, moved int64            // bytes of new records, and of records that move
	byDevice     map[string]int64 // bytes of new records for queues, by token

	backlog
}

// logRow is a new row of the log.
type logRow struct {
	batch         *batch
	heads, bodies []byte
	records       []*store.SpoolRecord
}

// queueRow is a new row of a queue.
type queueRow struct {
	id     uint64
	record *store.SpoolRecord
	from   *batch // the row of the log that it moves from; nil: it is new
}

func (r *queueRow) cost() int64 { return int64(len(r.record.Token) + len(r.record.Body) + queuedCost) }

// Put implements store.Spool. It is one transaction, which also writes what else has
// changed in its lines.
func (s *Spool) Put(ctx context.Context, batches ...store.SpoolBatch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, b := range batches {
		if err := checkLine(b.Line); err != nil {
			return err
		}
		for i := range b.Records {
			if err := checkRecord(&b.Records[i]); err != nil {
				return err
			}
		}
	}
	p, err := s.plan(batches)
	if err != nil || len(p.lines) == 0 {
		return err
	}
	if err := holdAll(ctx, p.lines); err != nil {
		return err
	}
	defer releaseAll(p.lines)
	if err := s.admit(ctx, p, batches); err != nil {
		return err
	}
	return s.write(ctx, p.lines)
}

func holdAll(ctx context.Context, lines []*lineWrite) error {
	for i, w := range lines {
		if err := w.line.hold(ctx); err != nil {
			releaseAll(lines[:i])
			return err
		}
	}
	return nil
}

func releaseAll(lines []*lineWrite) {
	for _, w := range lines {
		w.line.release()
	}
}

// plan finds or creates the lines of batches.
func (s *Spool) plan(batches []store.SpoolBatch) (*put, error) {
	p := &put{byName: make(map[store.Line]*lineWrite)}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range batches {
		if len(b.Records) == 0 || p.byName[b.Line] != nil {
			continue
		}
		a := s.apps[b.Line.App]
		if a == nil {
			return nil, store.ErrNotOurs
		}
		l := s.lines[b.Line]
		if l == nil {
			l = newLine(b.Line, a)
			s.lines[b.Line] = l
		}
		w := &lineWrite{line: l, byDevice: make(map[string]int64)}
		p.byName[b.Line] = w
		p.lines = append(p.lines, w)
	}
	slices.SortFunc(p.lines, func(a, b *lineWrite) int { return compareLines(a.line.name, b.line.name) })
	return p, nil
}

func compareLines(a, b store.Line) int {
	return cmp.Or(strings.Compare(a.App, b.App), strings.Compare(a.Environment, b.Environment),
		strings.Compare(a.Topic, b.Topic))
}

// admit works out what to do with each record, checks that there is room, and gives the new
// ones their IDs, in order.
func (s *Spool) admit(ctx context.Context, p *put, batches []store.SpoolBatch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := p.measure(batches); err != nil {
		return err
	}
	if s.room(p) != nil {
		s.mu.Unlock()
		err := s.sweep(ctx, p)
		s.mu.Lock()
		if err == nil {
			err = s.room(p)
		}
		if err != nil {
			return err
		}
	}
	now := s.now().Unix()
	for _, b := range batches {
		w := p.byName[b.Line]
		for i := range b.Records {
			w.now = now
			if r := &b.Records[i]; r.ID == 0 {
				s.last++
				w.insert(r, s.last)
			}
		}
	}
	return nil
}

// measure counts the bytes of new records, and finds those that move and those that are rewritten.
func (p *put) measure(batches []store.SpoolBatch) error {
	for _, b := range batches {
		w := p.byName[b.Line]
		for i := range b.Records {
			r := &b.Records[i]
			size := int64(len(r.Token) + len(r.Body))
			switch {
			case r.ID == 0 && r.Queued:
				w.fresh += size + queuedCost
				w.byDevice[string(r.Token)] += size + queuedCost
			case r.ID == 0:
				w.fresh += size + headCost
			default:
				if err := w.place(r); err != nil {
					return err
				}
			}
		}
		if w != nil && w.fresh > 0 {
			w.fresh += batchCost
		}
	}
	return nil
}

// headCost is about how many bytes a head takes besides its token.
const headCost = 8

// place finds a record that the caller has checked out, to move it or to rewrite its flags.
func (w *lineWrite) place(r *store.SpoolRecord) error {
	l := w.line
	if d := l.devices[string(r.Token)]; d != nil && d.held[r.ID] != nil && !d.held[r.ID].done {
		w.flags = append(w.flags, r)
		return nil
	}
	if b := l.find(r.ID); b != nil {
		if _, held := b.at(r.ID); held {
			q := &queueRow{id: r.ID, record: r, from: b}
			w.queued = append(w.queued, q)
			w.moved += q.cost()
			return nil
		}
	}
	return fmt.Errorf("%w: record %d is not checked out by the caller", store.ErrUnstorable, r.ID)
}

// insert adds a new record to the rows to be written.
func (w *lineWrite) insert(r *store.SpoolRecord, id uint64) {
	if r.Queued {
		w.queued = append(w.queued, &queueRow{id: id, record: r})
		return
	}
	var last *logRow
	if n := len(w.logged); n > 0 {
		last = w.logged[n-1]
	}
	if last == nil || last.batch.first+uint64(len(last.records)) != id || len(last.records) == batchRecords ||
		len(last.bodies) >= batchBytes {
		last = &logRow{batch: &batch{first: id, since: w.now}, heads: []byte{}, bodies: []byte{}}
		w.logged = append(w.logged, last)
	}
	last.records = append(last.records, r)
	last.batch.soonest = sooner(last.batch.soonest, r.Expires)
	last.heads, last.bodies = appendHead(last.heads, r), append(last.bodies, r.Body...)
}
