package pgstore

import (
	"bytes"
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"apnsbridge/store"
)

// readHeads reads the heads of rows, by their first IDs. Rows whose heads cannot be decoded are
// missing in the result.
func (s *Spool) readHeads(ctx context.Context, l *line, batches []*batch) (map[uint64][]head, error) {
	rows, err := s.engine.pool.Query(ctx, `
		select first, records, heads from spool_log
		where app = $1 and environment = $2 and topic = $3 and first = any($4)`,
		l.name.App, l.name.Environment, l.name.Topic, firsts(batches))
	if err != nil {
		return nil, s.engine.failure(err)
	}
	heads := make(map[uint64][]head, len(batches))
	var first int64
	var records int
	var b []byte
	_, err = pgx.ForEachRow(rows, []any{&first, &records, &b}, func() error {
		if h, err := decodeHeads(b, records); err == nil {
			heads[uint64(first)] = h
		}
		b = nil
		return nil
	})
	return heads, s.engine.failure(err)
}

// readBodies reads the records that were taken, in the order of IDs. If it fails, none of them is
// checked out any more.
func (s *Spool) readBodies(ctx context.Context, l *line, take []picked,
	heads map[uint64][]head) (list []store.SpoolRecord, err error) {
	list = make([]store.SpoolRecord, len(take))
	b := &pgx.Batch{}
	for from := 0; from < len(take); {
		to := from + 1
		for to < len(take) && take[to].batch == take[from].batch {
			to++
		}
		readRow(b, l, take[from:to], heads[take[from].batch.first], list[from:to])
		from = to
	}
	if b.Len() > 0 {
		err = s.engine.send(ctx, b)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		for _, p := range take {
			p.batch.giveBack(p.i)
			l.waiting++
		}
		return nil, err
	}
	for i := range list {
		if list[i].Broken != nil {
			s.broken++
		}
	}
	return list, nil
}

// readRow asks for the bodies of the records that were taken from one row, in one piece, and
// fills them in.
func readRow(b *pgx.Batch, l *line, take []picked, heads []head, list []store.SpoolRecord) {
	row, last := take[0].batch, take[len(take)-1].i
	for j, p := range take {
		list[j].ID = row.first + uint64(p.i)
		list[j].Broken = fmt.Errorf("store: the row of record %d cannot be read", list[j].ID)
	}
	if heads == nil {
		return
	}
	starts := make([]int, 0, len(take))
	at, next := 0, 0
	for i := 0; i <= last; i++ {
		if take[next].i == i {
			starts = append(starts, at)
			next++
		}
		at += heads[i].body
	}
	from := starts[0]
	b.Queue(`
		select substring(bodies from $5 for $6) from spool_log
		where app = $1 and environment = $2 and topic = $3 and first = $4`,
		l.name.App, l.name.Environment, l.name.Topic, int64(row.first), from+1,
		at-from).Query(func(rows pgx.Rows) error {
		var bodies []byte
		_, err := pgx.ForEachRow(rows, []any{&bodies}, func() error {
			for j, p := range take {
				h := heads[p.i]
				start := starts[j] - from
				list[j].Token, list[j].Expires = bytes.Clone(h.token), h.expires
				if start+h.body <= len(bodies) {
					list[j].Body, list[j].Broken = bodies[start:start+h.body:start+h.body], nil
				}
			}
			return nil
		})
		return err
	})
}
