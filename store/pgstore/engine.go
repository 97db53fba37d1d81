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

// engine holds the connections to PostgreSQL.
type engine struct {
	pool     *pgxpool.Pool
	renewals *pgxpool.Pool // for renewals, which must not wait for anything else
	closed   atomic.Bool
	rounds   rounds
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

// closePatience is how long close waits for the connections to end. If a request was interrupted, pgx asks the
// server to cancel it and waits up to 15 s for an answer, in each of the pools.
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

// send carries out all of b in one transaction and one round trip.
func (e *engine) send(ctx context.Context, b *pgx.Batch) error { return e.sendBy(ctx, e.pool, b) }

func (e *engine) sendBy(ctx context.Context, pool *pgxpool.Pool, b *pgx.Batch) error {
	_, err := e.exchange(ctx, pool, b)
	return err
}

// exchange is sendBy that also returns which of the server's processes was asked, if its
// connection is closed since then; else 0.
func (e *engine) exchange(ctx context.Context, pool *pgxpool.Pool, b *pgx.Batch) (process int32, err error) {
	if err := ctx.Err(); err != nil {
		return 0, unsent{err}
	}
	c, err := pool.Acquire(ctx)
	if err != nil {
		return 0, unsent{e.failure(err)}
	}
	defer c.Release()
	err = c.SendBatch(ctx, b).Close()
	if c.Conn().IsClosed() {
		process = int32(c.Conn().PgConn().PID())
	}
	return process, e.failure(err)
}

// unsent is an error that has occurred before anything was sent.
type unsent struct{ error }

func (u unsent) Unwrap() error   { return u.error }
func (unsent) SafeToRetry() bool { return true }

// notOurs is the code with which a fence fails.
const notOurs = "AP001"

// readOnly is the code with which a server refuses writes that was the primary when we
// connected but is no longer.
const readOnly = "25006"

// failure turns an error of the engine into one of the store's. If the server is no longer the
// primary, all connections to it are closed, and the next ones look for the primary.
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

// inDoubt reports whether a transaction that ended with err may have been committed. It has not
// if the server has refused it, or has never received it.
func inDoubt(err error) bool {
	var failed *pgconn.PgError
	return err != nil && !errors.Is(err, store.ErrNotOurs) && !errors.As(err, &failed) && !pgconn.SafeToRetry(err)
}

func millis(t time.Time) int64 { return t.UnixMilli() }

func fromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
