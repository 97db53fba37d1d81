package pgstore

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// owner is the node and the epoch in whose name something is written for an app.
type owner struct {
	app, node string
	epoch     uint64
}

// rounds order the writes for apps. A write whose answer never came may be carried out at any
// time: its request can be on its way for as long as its connection stalls, while other
// connections work. It ends the round, so that the fence refuses it once any write of a later
// round was carried out for the app, and that write sees all that it may have committed.
type rounds struct {
	current atomic.Int64

	mu   sync.Mutex
	late map[int32]bool // the server's processes that were asked for such writes
}

// fence adds the first statement of every write for an app, which fails if another node has it,
// or if a write of a later round came before.
func (o owner) fence(b *pgx.Batch, round int64) {
	b.Queue("select fence($1, $2, $3, $4)", o.app, o.node, int64(o.epoch), round)
}

// write carries out what fill adds to a transaction, behind the fences of owners, in one round trip.
func (e *engine) write(ctx context.Context, owners []owner, fill func(*pgx.Batch)) error {
	for {
		round := e.rounds.current.Load()
		b := &pgx.Batch{}
		ended := e.rounds.endLate(b)
		for _, o := range owners {
			o.fence(b, round)
		}
		fill(b)
		process, err := e.exchange(ctx, e.pool, b)
		switch {
		case err == nil:
			e.rounds.forget(ended)
		case inDoubt(err):
			e.rounds.end(round, process)
		case isOutdated(err) && e.rounds.current.Load() > round:
			continue // another write has ended our round, and one of the next came before ours
		}
		return err
	}
}

// end ends a round because one of its writes has no answer. process was asked for it; 0: it is not
// known to be late.
func (r *rounds) end(round int64, process int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.late == nil {
		r.late = make(map[int32]bool)
	}
	if process != 0 {
		r.late[process] = true
	}
	r.current.CompareAndSwap(round, round+1)
}

// endLate adds a statement that ends the processes that were asked for late writes, if there are
// any: one that has received a part of its request holds the lock of its fence until the rest
// comes. Where it does not find them, behind a proxy that has processes of its own, the next fence
// waits for them.
func (r *rounds) endLate(b *pgx.Batch) (processes []int32) {
	r.mu.Lock()
	processes = slices.Collect(maps.Keys(r.late))
	r.mu.Unlock()
	if len(processes) > 0 {
		b.Queue(`
			select pg_terminate_backend(pid) from pg_stat_activity
			where pid = any($1) and pid <> pg_backend_pid()
				and application_name = current_setting('application_name')`, processes)
	}
	return processes
}

func (r *rounds) forget(processes []int32) {
	if len(processes) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range processes {
		delete(r.late, p)
	}
}

// outdated is the code with which a fence refuses a write of an earlier round.
const outdated = "AP002"

func isOutdated(err error) bool {
	var failed *pgconn.PgError
	return errors.As(err, &failed) && failed.Code == outdated
}
