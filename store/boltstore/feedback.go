package boltstore

import (
	"context"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"apnsbridge/store"
	"apnsbridge/store/boltstore/boltfile"
)

// Feedback implements store.Feedback.
type Feedback struct {
	file   *boltfile.File
	now    func() time.Time
	listed *lists // entries still to be given
	given  *lists // entries that have been given, and can be given again
}

func newFeedback(o Options) *Feedback {
	return &Feedback{
		now:    o.Now,
		listed: newLists("feedback", o.FeedbackEntries, o.FeedbackAge, o.Now),
		given:  newLists("given", o.FeedbackEntries, store.FeedbackGivenAge, o.Now),
	}
}

// change runs fn on both lists of app within the writer's transaction.
func (f *Feedback) change(ctx context.Context, app string, fn func(listed, given *list) error) error {
	var listed, given *list
	return f.file.Update(ctx, func(tx *bbolt.Tx) (err error) {
		if listed, err = f.listed.begin(tx, app); err != nil {
			return err
		}
		if given, err = f.given.begin(tx, app); err != nil {
			return err
		}
		if err := fn(listed, given); err != nil {
			return err
		}
		if err := f.listed.bound(tx, listed); err != nil {
			return err
		}
		return f.given.bound(tx, given)
	}, func() {
		if given != nil {
			f.given.undo(given)
		}
		if listed != nil {
			f.listed.undo(listed)
		}
	})
}

// Record implements store.Feedback. It writes only if something is new: APNs says
// the same of a dead device at every push to it.
func (f *Feedback) Record(ctx context.Context, app string, dead ...store.Dead) error {
	if err := store.CheckDead(app, dead); err != nil {
		return err
	}
	news := false
	err := f.file.View(ctx, func(tx *bbolt.Tx) error {
		l := f.listed.of(tx, app)
		for i := 0; i < len(dead) && !news; i++ {
			_, news = f.listed.news(l, dead[i])
		}
		return nil
	})
	if err != nil || !news {
		return err
	}
	return f.change(ctx, app, func(listed, _ *list) error {
		for _, d := range dead {
			if _, err := f.listed.record(listed, d); err != nil {
				return err
			}
		}
		return nil
	})
}

// Revive implements store.Feedback.
func (f *Feedback) Revive(ctx context.Context, app string, token []byte, sent time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !f.Listed(app, token) {
		return nil
	}
	return f.change(ctx, app, func(listed, given *list) error {
		for _, l := range []*list{listed, given} {
			if e, ok := l.find(token); ok && e.dead < millis(sent) {
				if err := l.remove(e, token); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// Forget implements store.Feedback.
func (f *Feedback) Forget(ctx context.Context, app string, dead ...store.Dead) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !slices.ContainsFunc(dead, func(d store.Dead) bool { return f.listed.has(app, d.Token) }) {
		return nil
	}
	return f.change(ctx, app, func(listed, given *list) error {
		now := millis(f.now())
		for _, d := range dead {
			e, ok := listed.find(d.Token)
			if !ok || e.dead != millis(d.Time) {
				continue
			}
			if err := listed.remove(e, d.Token); err != nil {
				return err
			}
			before, _ := given.find(d.Token)
			if err := given.put(d.Token, before, max(before.dead, e.dead), now); err != nil {
				return err
			}
		}
		return nil
	})
}

// againLen is how many entries Again moves in a transaction.
const againLen = 1000

// Again implements store.Feedback.
func (f *Feedback) Again(ctx context.Context, app string) (n int, err error) {
	var last uint64 // entries given after this revision are left for the next call
	err = f.file.View(ctx, func(tx *bbolt.Tx) error {
		last = f.given.of(tx, app).revision()
		return nil
	})
	for more := true; more && err == nil; {
		moved := 0
		if err = f.change(ctx, app, func(listed, given *list) (err error) {
			moved, more, err = f.takeBack(listed, given, last)
			return err
		}); err == nil {
			n += moved
		}
	}
	return n, err
}

// takeBack moves at most againLen entries of given, up to the revision last, back to
// listed, as long as that has room. n of them are new there.
func (f *Feedback) takeBack(listed, given *list, last uint64) (n int, more bool, err error) {
	page := given.page(0, againLen, f.given.oldest())
	for _, d := range page {
		if d.Revision > last || listed.len() >= f.listed.entries {
			return n, false, nil
		}
		if err := given.remove(entry{revision: d.Revision}, d.Token); err != nil {
			return n, false, err
		}
		news, err := f.listed.record(listed, d)
		if err != nil {
			return n, false, err
		}
		if news {
			n++
		}
	}
	return n, len(page) == againLen, nil
}

// Listed implements store.Feedback.
func (f *Feedback) Listed(app string, token []byte) bool {
	return f.listed.has(app, token) || f.given.has(app, token)
}

// Revision implements store.Feedback.
func (f *Feedback) Revision(ctx context.Context, app string) (revision uint64, err error) {
	err = f.file.View(ctx, func(tx *bbolt.Tx) error {
		revision = f.listed.of(tx, app).revision()
		return nil
	})
	return revision, err
}

// Pending implements store.Feedback.
func (f *Feedback) Pending(ctx context.Context, app string, after uint64, limit int) (page []store.Dead, err error) {
	err = f.file.View(ctx, func(tx *bbolt.Tx) error {
		page = f.listed.of(tx, app).page(after, limit, f.listed.oldest())
		return nil
	})
	return page, err
}
