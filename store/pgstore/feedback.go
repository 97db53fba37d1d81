package pgstore

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"apnsbridge/store"
)

// Feedback implements store.Feedback. The whole fleet shares the lists: what another node lists
// is known here after Config.Follow at the latest.
type Feedback struct {
	engine  *engine
	now     func() time.Time
	entries int
	age     time.Duration

	listed *store.TokenIndex // when each token was found dead and listed, see stamp
	given  *store.TokenIndex // when each token was found dead

	mu    sync.Mutex
	lists map[string]*list

	loaded    atomic.Bool
	following context.Context
	end       context.CancelFunc
	wg        sync.WaitGroup
}

// list is what is known of an app's list besides its tokens.
type list struct {
	// changing is held by each change from its beginning until memory has it too, so
	// that memory changes in the order of the commits.
	changing chan struct{}

	// The indexes have everything up to these. Guarded by changing.
	revision, turn int64
}

// The tables of entries that are on the list, and of those that were given to a reader
// and can be given again.
const (
	feedbackTable = "feedback"
	givenTable    = "given"
)

func newFeedback(e *engine, c Config) *Feedback {
	f := &Feedback{engine: e, now: c.Now, entries: c.FeedbackEntries, age: c.FeedbackAge,
		listed: store.NewTokenIndex(), given: store.NewTokenIndex(), lists: make(map[string]*list)}
	f.following, f.end = context.WithCancel(context.Background())
	return f
}

// load fills the indexes, which from then on follow what other nodes list.
func (f *Feedback) load(ctx context.Context, follow time.Duration) error {
	rows, err := f.engine.pool.Query(ctx, "select app from feedback_app")
	if err != nil {
		return f.engine.failure(err)
	}
	apps, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return f.engine.failure(err)
	}
	for _, app := range apps { // deletes what is too old or too much by now
		if err := f.change(ctx, app, func(*change) error { return nil }); err != nil {
			return err
		}
	}
	if err := f.catchUp(ctx); err != nil {
		return err
	}
	f.loaded.Store(true)
	f.wg.Go(func() { f.follow(f.following, follow) })
	return nil
}

// admit refuses requests whose context has ended or that come before the lists are loaded.
func (f *Feedback) admit(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !f.loaded.Load() {
		return errNotLoaded
	}
	return nil
}

var errNotLoaded = errors.New("store: the feedback lists are not loaded yet")

func (f *Feedback) close() {
	f.end()
	f.wg.Wait()
}

// Record implements store.Feedback. It asks the engine only if there is news: APNs reports
// a dead device again with every push to it.
func (f *Feedback) Record(ctx context.Context, app string, dead ...store.Dead) error {
	if err := f.admit(ctx); err != nil {
		return err
	}
	if err := store.CheckDead(app, dead); err != nil {
		return err
	}
	var tokens [][]byte
	var found []int64
	for _, d := range dead {
		if f.news(app, d) {
			tokens, found = append(tokens, d.Token), append(found, millis(d.Time))
		}
	}
	if len(tokens) == 0 {
		return nil
	}
	return f.change(ctx, app, func(c *change) error {
		_, err := c.list(tokens, found)
		return err
	})
}

// Revive implements store.Feedback.
func (f *Feedback) Revive(ctx context.Context, app string, token []byte, sent time.Time) error {
	if err := f.admit(ctx); err != nil {
		return err
	}
	if !f.Listed(app, token) {
		return nil
	}
	return f.change(ctx, app, func(c *change) error {
		for _, table := range []string{feedbackTable, givenTable} {
			if err := c.remove(table, "token = $2 and found < $3", token, millis(sent)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Listed implements store.Feedback.
func (f *Feedback) Listed(app string, token []byte) bool {
	_, listed := f.listed.Get(app, token)
	if listed {
		return true
	}
	_, given := f.given.Get(app, token)
	return given
}

// Revision implements store.Feedback.
func (f *Feedback) Revision(ctx context.Context, app string) (revision uint64, err error) {
	if err := f.admit(ctx); err != nil {
		return 0, err
	}
	err = f.engine.pool.QueryRow(ctx, "select coalesce(max(revision), 0)::bigint from feedback_app where app = $1",
		app).Scan(&revision)
	return revision, f.engine.failure(err)
}

// Pending implements store.Feedback.
func (f *Feedback) Pending(ctx context.Context, app string, after uint64, limit int) (page []store.Dead, err error) {
	if err := f.admit(ctx); err != nil {
		return nil, err
	}
	rows, err := f.engine.pool.Query(ctx, `
		select token, found, revision from feedback where app = $1 and revision > $2 and since >= $3
		order by revision limit $4`, app, int64(min(after, 1<<63-1)), millis(f.now().Add(-f.age)), max(limit, 0))
	if err != nil {
		return nil, f.engine.failure(err)
	}
	var token []byte
	var found, revision int64
	_, err = pgx.ForEachRow(rows, []any{&token, &found, &revision}, func() error {
		page = append(page, store.Dead{Token: token[:len(token):len(token)], Time: fromMillis(found),
			Revision: uint64(revision)})
		token = nil
		return nil
	})
	return page, f.engine.failure(err)
}

// Forget implements store.Feedback.
func (f *Feedback) Forget(ctx context.Context, app string, dead ...store.Dead) error {
	if err := f.admit(ctx); err != nil {
		return err
	}
	var tokens [][]byte
	var found []int64
	for _, d := range dead {
		tokens, found = append(tokens, d.Token), append(found, millis(d.Time))
	}
	if len(tokens) == 0 {
		return nil
	}
	return f.change(ctx, app, func(c *change) error { return c.give(tokens, found) })
}

// againLen is how many entries Again moves in a transaction.
const againLen = 1000

// Again implements store.Feedback.
func (f *Feedback) Again(ctx context.Context, app string) (n int, err error) {
	if err := f.admit(ctx); err != nil {
		return 0, err
	}
	last := int64(-1) // entries that are given during this call are left to the next
	for more := true; more; {
		moved := 0
		if err := f.change(ctx, app, func(c *change) (err error) {
			if last < 0 {
				last = c.turn
			}
			moved, more, err = c.takeBack(last)
			return err
		}); err != nil {
			return n, err
		}
		n += moved
	}
	return n, nil
}

// A stamp packs when a token was found dead, in milliseconds, and when it was listed, in
// whole hours.
const stampHours = 21 // bits, until 2209; the other 43 reach until 2248

func stamp(found, since int64) uint64 {
	return uint64(found)<<stampHours | uint64(since/time.Hour.Milliseconds())&(1<<stampHours-1)
}

// news reports whether d may change the list, judged from memory alone. It may be wrong
// in the hour in which an entry becomes too old.
func (f *Feedback) news(app string, d store.Dead) bool {
	known, ok := f.listed.Get(app, d.Token)
	if !ok || int64(known>>stampHours) < millis(d.Time) {
		return true
	}
	since := int64(known&(1<<stampHours-1)) * time.Hour.Milliseconds() // or up to an hour later
	return since < millis(f.now().Add(-f.age))
}
