package pgstore

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// follow learns what other nodes have listed. It ignores errors: Listed is then wrong only
// about what is new, until the next attempt.
func (f *Feedback) follow(ctx context.Context, each time.Duration) {
	tick := time.NewTicker(each)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = f.catchUp(ctx)
		}
	}
}

// catchUp brings the indexes up to date with the lists. A token that has left a list stays in
// the index until a change of this node's finds that out: Listed may be wrong until then, which
// costs Revive a query.
func (f *Feedback) catchUp(ctx context.Context) error {
	rows, err := f.engine.pool.Query(ctx, "select app, revision, turn from feedback_app")
	if err != nil {
		return f.engine.failure(err)
	}
	type state struct {
		app            string
		revision, turn int64
	}
	var all []state
	var s state
	if _, err := pgx.ForEachRow(rows, []any{&s.app, &s.revision, &s.turn}, func() error {
		all = append(all, s)
		return nil
	}); err != nil {
		return f.engine.failure(err)
	}
	for _, s := range all {
		if err := f.catchUpApp(ctx, s.app, s.revision, s.turn); err != nil {
			return err
		}
	}
	return nil
}

func (f *Feedback) catchUpApp(ctx context.Context, app string, revision, turn int64) error {
	l := f.of(app)
	if err := l.hold(ctx); err != nil {
		return err
	}
	defer l.release()
	if l.revision < revision {
		if err := f.index(ctx, app, feedbackTable, l.revision, func(token []byte, found, since int64) {
			f.listed.Put(app, token, stamp(found, since))
		}); err != nil {
			return err
		}
		l.revision = revision
	}
	if l.turn < turn {
		if err := f.index(ctx, app, givenTable, l.turn, func(token []byte, found, _ int64) {
			f.given.Put(app, token, uint64(found))
		}); err != nil {
			return err
		}
		l.turn = turn
	}
	return nil
}

// index calls put for each entry of a table after a revision. The token is borrowed.
func (f *Feedback) index(ctx context.Context, app, table string, after int64,
	put func(token []byte, found, since int64)) error {
	rows, err := f.engine.pool.Query(ctx, "select token, found, since from "+table+" where app = $1 and revision > $2",
		app, after)
	if err != nil {
		return f.engine.failure(err)
	}
	var token []byte
	var found, since int64
	_, err = pgx.ForEachRow(rows, []any{&token, &found, &since}, func() error {
		put(token, found, since)
		return nil
	})
	return f.engine.failure(err)
}
