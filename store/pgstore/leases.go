package pgstore

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"apnsbridge/store"
)

// Leases implements store.Leases.
type Leases struct {
	engine *engine
	node   string
	life   atomic.Int64 // returned by the last Join; 0: none yet

	prepare func(context.Context) error // of the Store
}

// Join implements store.Leases. It prepares the Store if that has not been done.
func (l *Leases) Join(ctx context.Context, node store.FleetNode, lease time.Duration) (v store.FleetView, err error) {
	if err := l.prepare(ctx); err != nil {
		return v, err
	}
	var life *int64
	b := &pgx.Batch{}
	b.Queue("select join_fleet($1, $2, $3, $4)", l.node, node.Address, node.Digest, lease).
		QueryRow(func(row pgx.Row) error { return row.Scan(&life) })
	queueView(b, &v)
	if err := l.engine.send(ctx, b); err != nil {
		return v, err
	}
	if life != nil {
		l.life.Store(*life)
		return v, nil
	}
	taken := &store.TakenError{What: "node " + l.node}
	err = l.engine.pool.QueryRow(ctx, `
		select address, greatest(expires - clock_timestamp(), interval '0') from node
		where name = $1`, l.node).
		Scan(&taken.By, &taken.Left)
	if err != nil {
		return v, l.engine.failure(err)
	}
	return v, taken
}

// Renew implements store.Leases.
func (l *Leases) Renew(ctx context.Context, node store.FleetNode, lease time.Duration) (v store.FleetView, err error) {
	ours := false
	b := &pgx.Batch{}
	b.Queue("select renew($1, $2, $3, $4, $5)", l.node, l.life.Load(), node.Address, node.Digest, lease).
		QueryRow(func(row pgx.Row) error { return row.Scan(&ours) })
	queueView(b, &v)
	if err := l.engine.sendBy(ctx, l.engine.renewals, b); err != nil {
		return v, err
	}
	if !ours {
		return store.FleetView{}, store.ErrLeaseOver
	}
	return v, nil
}

// queueView asks for a view of the fleet with separate statements, each of which sees what
// was committed before it.
func queueView(b *pgx.Batch, v *store.FleetView) {
	b.Queue(`select name, address, digest from node where expires > clock_timestamp() order by name collate "C"`).
		Query(func(rows pgx.Rows) (err error) {
			v.Nodes, err = pgx.CollectRows(rows, pgx.RowToStructByPos[store.FleetNode])
			return err
		})
	b.Queue(`select name, node, epoch from app order by name collate "C"`).
		Query(func(rows pgx.Rows) error {
			var a store.FleetApp
			var epoch int64
			_, err := pgx.ForEachRow(rows, []any{&a.Name, &a.Node, &epoch}, func() error {
				a.Epoch = uint64(epoch)
				v.Apps = append(v.Apps, a)
				return nil
			})
			return err
		})
}

const lockNotAvailable = "55P03"

// Claim implements store.Leases. If the app's last owner is dead and a write of its holds
// the claim up for a second, the owner's connections are terminated.
func (l *Leases) Claim(ctx context.Context, app string) (epoch uint64, err error) {
	if app == "" {
		return 0, errors.New("store: a claim of an app without a name")
	}
	const attempts = 3
	for attempt := 1; ; attempt++ {
		epoch, err = l.claim(ctx, app)
		var failed *pgconn.PgError
		if attempt == attempts || !errors.As(err, &failed) || failed.Code != lockNotAvailable {
			return epoch, err
		}
		if _, err := l.engine.pool.Exec(ctx, "select evict_owner($1)", app); err != nil {
			return 0, l.engine.failure(err)
		}
	}
}

func (l *Leases) claim(ctx context.Context, app string) (epoch uint64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	var got *int64
	var by *string
	var left *time.Duration
	err = l.engine.pool.QueryRow(ctx, "select epoch, taken_by, remains from claim($1, $2, $3)", l.node, l.life.Load(),
		app).Scan(&got, &by, &left)
	switch {
	case err != nil:
		return 0, l.engine.failure(err)
	case by != nil:
		return 0, &store.TakenError{What: "app " + app, By: *by, Left: *left}
	case got == nil:
		return 0, store.ErrLeaseOver
	}
	return uint64(*got), nil
}

// Give implements store.Leases.
func (l *Leases) Give(ctx context.Context, app string, epoch uint64, to string) error {
	if to == l.node {
		return fmt.Errorf("store: app %s is to be given to the node that gives it", app)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	// The update waits for what this node still writes for the app.
	done, err := l.engine.pool.Exec(ctx, "update app set node = $4 where name = $1 and node = $2 and epoch = $3", app,
		l.node, int64(epoch), to)
	if err == nil && done.RowsAffected() == 0 {
		return store.ErrNotOurs
	}
	return l.engine.failure(err)
}

// Leave implements store.Leases.
func (l *Leases) Leave(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := l.engine.pool.Exec(ctx,
		"update node set expires = least(expires, clock_timestamp()) where name = $1 and life = $2", l.node,
		l.life.Load())
	return l.engine.failure(err)
}
