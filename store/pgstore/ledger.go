package pgstore

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"apnsbridge/store"
)

// Ledger implements store.Ledger for one app in one epoch.
type Ledger struct {
	engine *engine
	now    func() time.Time
	owner  owner
}

// Append implements store.Ledger.
func (l *Ledger) Append(ctx context.Context, records ...store.LedgerRecord) error {
	return l.change(ctx, records, false)
}

// Replace implements store.Ledger.
func (l *Ledger) Replace(ctx context.Context, records ...store.LedgerRecord) error {
	return l.change(ctx, records, true)
}

func (l *Ledger) change(ctx context.Context, records []store.LedgerRecord, replace bool) error {
	const maxKey = 1024
	last := make(map[string]store.LedgerRecord, len(records))
	for _, r := range records {
		if len(r.Key) == 0 || len(r.Key) > maxKey {
			return fmt.Errorf("store: a ledger key of %d bytes; 1 to %d can be kept", len(r.Key), maxKey)
		}
		last[string(r.Key)] = r
	}
	var keys, values, ended [][]byte
	var expires []int64
	now := l.now()
	for key, r := range last {
		if !r.Expires.After(now) {
			ended = append(ended, []byte(key))
			continue
		}
		keys, values, expires = append(keys, r.Key), append(values, append([]byte{}, r.Value...)),
			append(expires, millis(r.Expires))
	}
	return l.engine.write(ctx, []owner{l.owner}, func(b *pgx.Batch) {
		if replace {
			b.Queue("delete from ledger where app = $1", l.owner.app)
		} else if len(ended) > 0 {
			b.Queue("delete from ledger where app = $1 and key = any($2)", l.owner.app, ended)
		}
		if len(keys) > 0 {
			b.Queue(`
				insert into ledger select $1, k, v, e
				from unnest($2::bytea[], $3::bytea[], $4::bigint[]) as x (k, v, e)
				on conflict (app, key) do update set value = excluded.value, expires = excluded.expires`, l.owner.app,
				keys, values, expires)
		}
	})
}

// Load implements store.Ledger. It reads records of all epochs, and does not check
// whether this node still has the app: a node reads only what it has just claimed.
func (l *Ledger) Load(ctx context.Context, fn func(store.LedgerRecord) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	rows, err := l.engine.pool.Query(ctx,
		"select key, value, expires from ledger where app = $1 and expires > $2 order by key", l.owner.app,
		millis(l.now()))
	if err != nil {
		return l.engine.failure(err)
	}
	var r store.LedgerRecord
	var expires int64
	var failed error // from fn, to be returned unchanged
	_, err = pgx.ForEachRow(rows, []any{&r.Key, &r.Value, &expires}, func() error {
		r.Expires = fromMillis(expires)
		failed = fn(r)
		return failed
	})
	if failed != nil {
		return failed
	}
	return l.engine.failure(err)
}
