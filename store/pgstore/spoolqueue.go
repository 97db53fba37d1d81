package pgstore

import (
	"bytes"
	"context"

	"github.com/jackc/pgx/v5"

	"apnsbridge/store"
)

// TakeOf implements store.Spool.
func (s *Spool) TakeOf(ctx context.Context, name store.Line, token []byte, limit int,
	size int64) (list []store.SpoolRecord, err error) {
	l, err := s.holdLine(ctx, name)
	if l == nil || err != nil {
		return nil, err
	}
	defer l.release()
	s.mu.Lock()
	d := l.devices[string(token)]
	held := []int64{} // not nil, which would be null in SQL
	if d != nil {
		for id := range d.held {
			held = append(held, int64(id))
		}
	}
	s.mu.Unlock()
	if d == nil || limit <= 0 {
		return nil, nil
	}
	rows, err := s.engine.pool.Query(ctx, `
		select id, expires, flags, body from (
			select *, row_number() over w as n, sum($5 + octet_length(body)) over w as upto from (
				select * from spool_queue
				where app = $1 and environment = $2 and topic = $3 and device = $4 and id <> all($6)
				order by id limit $7
			) q window w as (order by id)
		) q where n = 1 or upto <= $8 order by id`, name.App,
		name.Environment, name.Topic, deviceKey(token), int64(len(token)), held, limit, size)
	if err != nil {
		return nil, s.engine.failure(err)
	}
	var id, expires int64
	var flags, body []byte
	if _, err = pgx.ForEachRow(rows, []any{&id, &expires, &flags, &body}, func() error {
		r := store.SpoolRecord{SpoolKey: store.SpoolKey{ID: uint64(id), Queued: true, Token: bytes.Clone(token)},
			Expires: expires, Body: body}
		copy(r.Flags[:], flags)
		body = nil
		list = append(list, r)
		return nil
	}); err != nil {
		return nil, s.engine.failure(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range list {
		d.held[r.ID] = &queuedRecord{cost: int64(len(r.Token) + len(r.Body) + queuedCost)}
	}
	return list, nil
}

// Devices implements store.Spool.
func (s *Spool) Devices(ctx context.Context, name store.Line, after []byte, limit int) (list []store.QueuedDevice,
	err error) {
	l, err := s.holdLine(ctx, name)
	if l == nil || err != nil {
		return nil, err
	}
	defer l.release()
	key := []byte{}
	if after != nil {
		key = deviceKey(after)
	}
	for len(list) < limit {
		rows, err := s.engine.pool.Query(ctx, `
			select device, count(*) from spool_queue
			where app = $1 and environment = $2 and topic = $3 and device > $4 group by device
			order by device limit $5`, name.App, name.Environment, name.Topic, key, limit-len(list))
		if err != nil {
			return nil, s.engine.failure(err)
		}
		page, err := pgx.CollectRows(rows, pgx.RowToStructByPos[queueLength])
		if err != nil {
			return nil, s.engine.failure(err)
		}
		if len(page) == 0 {
			break
		}
		key = page[len(page)-1].Device
		s.mu.Lock()
		for _, q := range page {
			token := q.Device[2:]
			if d := l.devices[string(token)]; d != nil {
				q.Records -= len(d.held)
			}
			if q.Records > 0 {
				list = append(list, store.QueuedDevice{Token: token, Records: q.Records})
			}
		}
		s.mu.Unlock()
	}
	return list, nil
}

// queueLength is how many rows a device's queue has.
type queueLength struct {
	Device  []byte
	Records int
}
