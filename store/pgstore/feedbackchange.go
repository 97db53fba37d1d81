package pgstore

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"apnsbridge/store"
)

// change is a transaction that holds the lock on an app's row, so it is the app's only one.
type change struct {
	f   *Feedback
	ctx context.Context
	tx  pgx.Tx
	app string

	revision, entries int64 // of the list
	turn, given       int64 // of the entries that were given: their revision and their number

	after []func() // changes to the indexes, made once the transaction is committed
}

// of returns what is known of the list of app.
func (f *Feedback) of(app string) *list {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.lists[app]
	if l == nil {
		l = &list{changing: make(chan struct{}, 1)}
		f.lists[app] = l
	}
	return l
}

func (l *list) hold(ctx context.Context) error {
	select {
	case l.changing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *list) release() { <-l.changing }

// change runs do in a transaction; before it, entries that are too old are deleted, and after it
// those that are too many.
func (f *Feedback) change(ctx context.Context, app string, do func(*change) error) error {
	l := f.of(app)
	if err := l.hold(ctx); err != nil {
		return err
	}
	defer l.release()
	c := &change{f: f, ctx: ctx, app: app}
	if err := pgx.BeginFunc(ctx, f.engine.pool, c.carryOut(do)); err != nil {
		return f.engine.failure(err)
	}
	for _, do := range c.after {
		do()
	}
	return nil
}

func (c *change) carryOut(do func(*change) error) func(pgx.Tx) error {
	return func(tx pgx.Tx) error {
		c.tx = tx
		if err := tx.QueryRow(c.ctx, `
			insert into feedback_app as a (app) values ($1) on conflict (app) do update set app = a.app
			returning revision, entries, turn, given`, c.app).
			Scan(&c.revision, &c.entries, &c.turn, &c.given); err != nil {
			return err
		}
		if err := c.dropOld(); err != nil {
			return err
		}
		if err := do(c); err != nil {
			return err
		}
		if err := c.dropExcess(); err != nil {
			return err
		}
		_, err := tx.Exec(c.ctx, `
			update feedback_app set revision = $2, entries = $3, turn = $4, given = $5 where app = $1`,
			c.app, c.revision, c.entries, c.turn, c.given)
		return err
	}
}

// index returns what belongs to a table: its index, the number of the app's entries in it, and
// how long they stay.
func (c *change) index(table string) (index *store.TokenIndex, length *int64, age time.Duration) {
	if table == feedbackTable {
		return c.f.listed, &c.entries, c.f.age
	}
	return c.f.given, &c.given, store.FeedbackGivenAge
}

// dropOld deletes entries that have been there for too long. Entries are in the order in which
// they came, except where the clocks of nodes differ.
func (c *change) dropOld() error {
	for _, table := range []string{feedbackTable, givenTable} {
		_, _, age := c.index(table)
		if err := c.remove(table, "since < $2 and revision < coalesce((select revision from "+table+
			" where app = $1 and since >= $2 order by revision limit 1), 9223372036854775807)",
			millis(c.f.now().Add(-age))); err != nil {
			return err
		}
	}
	return nil
}

// dropExcess deletes the oldest entries if there are too many.
func (c *change) dropExcess() error {
	for _, table := range []string{feedbackTable, givenTable} {
		_, length, _ := c.index(table)
		if excess := *length - int64(c.f.entries); excess > 0 {
			if err := c.remove(table, "revision in (select revision from "+table+" where app = $1 order by revision "+
				"limit $2)", excess); err != nil {
				return err
			}
		}
	}
	return nil
}

// remove deletes the app's entries for which where holds. args are $2 and following in where.
func (c *change) remove(table, where string, args ...any) error {
	index, length, _ := c.index(table)
	rows, err := c.tx.Query(c.ctx, "delete from "+table+" where app = $1 and "+where+" returning token",
		append([]any{c.app}, args...)...)
	if err != nil {
		return err
	}
	var token []byte
	_, err = pgx.ForEachRow(rows, []any{&token}, func() error {
		*length--
		gone := token
		token = nil
		c.after = append(c.after, func() { c.unindex(index, gone) })
		return nil
	})
	return err
}

func (c *change) unindex(index *store.TokenIndex, token []byte) {
	if value, ok := index.Get(c.app, token); ok {
		index.Remove(c.app, token, value)
	}
}

// times returns when the tokens that are in a table were found dead.
func (c *change) times(table string, tokens [][]byte) (map[string]int64, error) {
	rows, err := c.tx.Query(c.ctx, "select token, found from "+table+" where app = $1 and token = any($2)", c.app,
		tokens)
	if err != nil {
		return nil, err
	}
	times := make(map[string]int64)
	var token []byte
	var found int64
	_, err = pgx.ForEachRow(rows, []any{&token, &found}, func() error {
		times[string(token)] = found
		return nil
	})
	return times, err
}

// list puts tokens on the list, in their order, and returns how many of them changed it.
func (c *change) list(tokens [][]byte, found []int64) (changed int, err error) {
	have, err := c.times(feedbackTable, tokens)
	if err != nil {
		return 0, err
	}
	e := newEntries(c.f.now())
	for i, token := range tokens {
		at, ok := have[string(token)]
		if ok && at >= found[i] {
			continue
		}
		if !ok {
			c.entries++
		}
		have[string(token)] = found[i]
		c.revision++
		changed++
		e.put(token, found[i], c.revision)
	}
	if changed == 0 {
		return 0, nil
	}
	if err := c.write(feedbackTable, e); err != nil {
		return 0, err
	}
	for i, token := range e.tokens {
		value := stamp(e.found[i], e.since)
		c.after = append(c.after, func() { c.f.listed.Put(c.app, token, value) })
	}
	return changed, nil
}

// give moves those entries that are on the list with exactly these times to the given ones.
func (c *change) give(tokens [][]byte, found []int64) error {
	listed, err := c.times(feedbackTable, tokens)
	if err != nil {
		return err
	}
	given, err := c.times(givenTable, tokens)
	if err != nil {
		return err
	}
	e := newEntries(c.f.now())
	var leave [][]byte
	for i, token := range tokens {
		if at, ok := listed[string(token)]; !ok || at != found[i] {
			continue
		}
		delete(listed, string(token))
		leave = append(leave, token)
		before, ok := given[string(token)]
		if !ok {
			c.given++
		}
		c.turn++
		e.put(token, max(before, found[i]), c.turn)
	}
	if len(leave) == 0 {
		return nil
	}
	if err := c.remove(feedbackTable, "token = any($2)", leave); err != nil {
		return err
	}
	if err := c.write(givenTable, e); err != nil {
		return err
	}
	for i, token := range e.tokens {
		value := uint64(e.found[i])
		c.after = append(c.after, func() { c.f.given.Put(c.app, token, value) })
	}
	return nil
}

// takeBack moves up to againLen of the entries that were given up to turn last back to the
// list, as long as there is room. n is how many of them changed the list.
func (c *change) takeBack(last int64) (n int, more bool, err error) {
	rows, err := c.tx.Query(c.ctx, `
		select g.token, g.found, f.token is not null from given g left join feedback f
		using (app, token) where app = $1 and g.revision <= $2 order by g.revision limit $3`, c.app, last, againLen)
	if err != nil {
		return 0, false, err
	}
	var tokens [][]byte
	var found []int64
	var token []byte
	var at int64
	var listed bool
	room, full := int64(c.f.entries)-c.entries, false
	if _, err := pgx.ForEachRow(rows, []any{&token, &at, &listed}, func() error {
		// A full list takes nothing back, not even an entry that it has.
		if full = full || room <= 0; full {
			return nil
		}
		if !listed {
			room--
		}
		tokens, found = append(tokens, token), append(found, at)
		token = nil
		return nil
	}); err != nil || len(tokens) == 0 {
		return 0, false, err
	}
	if err := c.remove(givenTable, "token = any($2)", tokens); err != nil {
		return 0, false, err
	}
	n, err = c.list(tokens, found)
	return n, !full && len(tokens) == againLen, err
}
