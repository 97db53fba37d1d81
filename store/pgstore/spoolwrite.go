package pgstore

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"
)

// backlog is what has changed in a line and is not written yet.
type backlog struct {
	changed []*batch // rows whose bits of gone are written
	bits    []bitmap
	spent   []*batch // rows that are deleted because all their records are gone
	done    []queuedKey
	doubts  []doubt // that this write clears up
}

// queuedKey is a row of a queue.
type queuedKey struct {
	token string
	id    uint64
}

// doubt is the rows that a write whose answer never came may have inserted, and that memory
// does not know of. The next write deletes them: it is of a later round, so that it sees all of
// them, and none comes later.
type doubt struct {
	logged  []int64
	devices [][]byte
	ids     []int64 // of the records in the devices' queues
}

// collect adds what is to be written of a line besides the records that are put. s.mu and the
// line are held.
func (w *lineWrite) collect() {
	l := w.line
	l.writing = true
	moved := make(map[*batch]bitmap)
	for _, q := range w.queued {
		if b := q.from; b != nil {
			if moved[b] == nil {
				moved[b] = slices.Clone(b.gone)
			}
			i, _ := b.at(q.id)
			moved[b].set(i)
		}
	}
	for _, b := range l.changed {
		b.changed = false
		switch {
		case b.ended == b.records:
			w.spent = append(w.spent, b)
		case moved[b] == nil:
			w.changed, w.bits = append(w.changed, b), append(w.bits, slices.Clone(b.gone))
		}
	}
	// A row whose last records move is deleted only by the next write, so that nothing is lost
	// if this one ends in doubt.
	for b, bits := range moved {
		w.changed, w.bits = append(w.changed, b), append(w.bits, bits)
	}
	l.changed = nil
	w.done, l.done = l.done, nil
	w.doubts = l.doubts
}

// write writes lines in one transaction. They are held.
func (s *Spool) write(ctx context.Context, lines []*lineWrite) error {
	s.mu.Lock()
	for _, w := range lines {
		w.collect()
	}
	s.mu.Unlock()
	var owners []owner
	for _, w := range lines {
		if o := w.line.app.owner; !slices.Contains(owners, o) {
			owners = append(owners, o)
		}
	}
	err := s.engine.write(ctx, owners, func(b *pgx.Batch) {
		for _, w := range lines {
			w.queue(b)
		}
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range lines {
		w.line.writing = false
		if err == nil {
			s.commit(w)
		} else {
			w.undo(inDoubt(err))
		}
	}
	return err
}

// queue adds the line's statements to a transaction.
func (w *lineWrite) queue(b *pgx.Batch) {
	n := w.line.name
	run := func(sql string, args ...any) { b.Queue(sql, append([]any{n.App, n.Environment, n.Topic}, args...)...) }
	const (
		ofLine       = " where app = $1 and environment = $2 and topic = $3"
		deleteQueued = "delete from spool_queue q using unnest($4::bytea[], $5::bigint[]) as x (d, i)" + ofLine +
			" and device = d and id = i"
	)
	for _, d := range w.doubts {
		run("delete from spool_log"+ofLine+" and first = any($4)", d.logged)
		run(deleteQueued, d.devices, d.ids)
	}
	if len(w.done) > 0 {
		devices, ids := columns(w.done)
		run(deleteQueued, devices, ids)
	}
	if len(w.spent) > 0 {
		run("delete from spool_log"+ofLine+" and first = any($4)", firsts(w.spent))
	}
	if len(w.changed) > 0 {
		bits := make([][]byte, len(w.bits))
		for i := range bits {
			bits[i] = w.bits[i]
		}
		run("update spool_log set gone = g from unnest($4::bigint[], $5::bytea[]) as x (f, g)"+ofLine+" and first = f",
			firsts(w.changed), bits)
	}
	for _, r := range w.logged {
		run("insert into spool_log values ($1, $2, $3, $4, $5, $6, $7, '', $8, $9)", int64(r.batch.first),
			len(r.records), r.batch.soonest, r.batch.since, r.heads, r.bodies)
	}
	var devices, flags, bodies [][]byte
	var ids, expires []int64
	for _, q := range w.queued {
		r := q.record
		devices, flags, bodies = append(devices, deviceKey(r.Token)), append(flags, r.Flags[:]),
			append(bodies, append([]byte{}, r.Body...))
		ids, expires = append(ids, int64(q.id)), append(expires, r.Expires)
	}
	if len(ids) > 0 {
		run(`
			insert into spool_queue select $1, $2, $3, d, i, e, $9, f, b
			from unnest($4::bytea[], $5::bigint[], $6::bigint[], $7::bytea[], $8::bytea[]) as x (d, i, e, f, b)`,
			devices, ids, expires, flags, bodies, w.now)
	}
	if len(w.flags) > 0 {
		var devices, flags [][]byte
		var ids []int64
		for _, r := range w.flags {
			devices, flags, ids = append(devices, deviceKey(r.Token)), append(flags, r.Flags[:]),
				append(ids, int64(r.ID))
		}
		run(`
			update spool_queue q set flags = f from unnest($4::bytea[], $5::bigint[], $6::bytea[]) as x (d, i, f)
			`+ofLine+` and device = d and id = i`, devices, ids, flags)
	}
}

func firsts(batches []*batch) (first []int64) {
	for _, b := range batches {
		first = append(first, int64(b.first))
	}
	return first
}

func columns(keys []queuedKey) (devices [][]byte, ids []int64) {
	for _, k := range keys {
		devices, ids = append(devices, deviceKey([]byte(k.token))), append(ids, int64(k.id))
	}
	return devices, ids
}

// commit updates memory with what was written. s.mu is held.
func (s *Spool) commit(w *lineWrite) {
	l := w.line
	l.doubts = l.doubts[len(w.doubts):]
	for _, b := range w.spent {
		l.remove(b)
	}
	for _, k := range w.done {
		d := l.devices[k.token]
		delete(d.held, k.id)
		if d.records == 0 && len(d.held) == 0 {
			delete(l.devices, k.token)
		}
	}
	for _, r := range w.logged {
		b := newBatch(r.batch.first, len(r.records))
		b.soonest, b.since, b.cost = r.batch.soonest, r.batch.since, int64(len(r.heads)+len(r.bodies))+batchCost
		for i := range r.records {
			b.take(i)
			r.records[i].ID = b.first + uint64(i)
		}
		l.log = append(l.log, b)
		l.logRecords += b.records
		s.grow(l, b.cost)
	}
	for _, q := range w.queued {
		if b := q.from; b != nil {
			i, _ := b.at(q.id)
			b.giveBack(i)
			if s.leaveLog(l, b, i); b.ended == b.records {
				l.change(b)
			}
		}
		s.enqueue(l, q, w.now)
	}
}

// enqueue counts a new row of a queue, which is checked out.
func (s *Spool) enqueue(l *line, q *queueRow, now int64) {
	d := l.device(q.record.Token)
	d.held[q.id] = &queuedRecord{cost: q.cost()}
	d.records++
	d.bytes += q.cost()
	if l.queued == 0 {
		l.since = 0
	}
	l.queued++
	l.since, l.soonest = sooner(l.since, now), sooner(l.soonest, q.record.Expires)
	q.record.ID = q.id
	s.grow(l, q.cost())
}

// undo leaves what was not written to the next write. If it is in doubt whether it was written,
// the next write also deletes the rows that memory does not know of; bits are then rewritten as
// memory has them.
func (w *lineWrite) undo(doubtful bool) {
	l := w.line
	for _, list := range [][]*batch{w.changed, w.spent} {
		for _, b := range list {
			l.change(b)
		}
	}
	l.done = append(w.done, l.done...)
	if !doubtful || len(w.logged)+len(w.queued) == 0 {
		return
	}
	var d doubt
	for _, r := range w.logged {
		d.logged = append(d.logged, int64(r.batch.first))
	}
	for _, q := range w.queued {
		d.devices, d.ids = append(d.devices, deviceKey(q.record.Token)), append(d.ids, int64(q.id))
	}
	l.doubts = append(l.doubts, d)
}

// change notes that a row is out of date.
func (l *line) change(b *batch) {
	if !b.changed {
		b.changed = true
		l.changed = append(l.changed, b)
	}
}

// remove removes a batch whose row was deleted.
func (l *line) remove(b *batch) {
	for i := range l.log {
		if l.log[i] == b {
			l.log = append(l.log[:i], l.log[i+1:]...)
			return
		}
	}
}
