package pgstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"apnsbridge/store"
)

// engine is the connections to PostgreSQL.
type engine struct {
	pool     *pgxpool.Pool
	renewals *pgxpool.Pool // which must not wait for what the others are doing
	closed   atomic.Bool
}

func newEngine(ctx context.Context, config *pgxpool.Config) (e *engine, err error) {
	e = new(engine)
	alone := config.Copy()
	alone.MinConns, alone.MaxConns = 0, 1
	if e.renewals, err = pgxpool.NewWithConfig(ctx, alone); err != nil {
		return nil, err
	}
	if e.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		e.renewals.Close()
		return nil, err
	}
	return e, nil
}

// closePatience is how long the connections' ends are waited for. pgx has an interrupted one ask the server to
// cancel what it does, and waits for a quarter of a minute, in each of the pools, where that does not answer.
const closePatience = 2 * time.Second

func (e *engine) close() {
	e.closed.Store(true)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		var both sync.WaitGroup
		both.Go(e.pool.Close)
		both.Go(e.renewals.Close)
		both.Wait()
	}()
	select {
	case <-ended:
	case <-time.After(closePatience):
	}
}

// owner is in whose name something is written.
type owner struct {
	app, node string
	epoch     uint64
}

// fence is the first statement of what is written for an app.
func (o owner) fence(b *pgx.Batch) {
	b.Queue("select fence($1, $2, $3)", o.app, o.node, int64(o.epoch))
}

// send carries out all of b in one transaction, with one message to the server.
func (e *engine) send(ctx context.Context, b *pgx.Batch) error { return e.sendBy(ctx, e.pool, b) }

func (e *engine) sendBy(ctx context.Context, pool *pgxpool.Pool, b *pgx.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return e.failure(pool.SendBatch(ctx, b).Close())
}

// notOurs is the code with which a fence fails.
const notOurs = "AP001"

// readOnly is the code with which a server refuses writes that was a primary when we
// connected.
const readOnly = "25006"

// failure says what an error of the engine means here. If the server is no primary any
// more, all connections to it go, and the next ones look for the one that is.
func (e *engine) failure(err error) error {
	if err == nil {
		return nil
	}
	code := ""
	if failed := (*pgconn.PgError)(nil); errors.As(err, &failed) {
		code = failed.Code
	}
	switch {
	case code == notOurs:
		return store.ErrNotOurs
	case e.closed.Load():
		return store.ErrClosed
	case code == readOnly:
		e.pool.Reset()
		e.renewals.Reset()
	}
	return fmt.Errorf("store: %w", err)
}

// inDoubt reports whether it is not known if a transaction that ended with err is
// committed: what the server has refused is not, nor what it has never heard of.
func inDoubt(err error) bool {
	var failed *pgconn.PgError
	return err != nil && !errors.As(err, &failed) && !pgconn.SafeToRetry(err)
}

func millis(t time.Time) int64 { return t.UnixMilli() }

func fromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
