package boltstore

import (
	"context"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"apnsbridge/store"
)

var feedbackBucket = []byte("feedback")

// Feedback implements store.Feedback.
type Feedback struct {
	file    *file
	entries int
	age     time.Duration
	now     func() time.Time

	listed           *store.TokenSet // follows the file at each commit
	evicted, expired atomic.Uint64
}

func newFeedback(f *file, o Options) *Feedback {
	return &Feedback{file: f, entries: o.FeedbackEntries, age: o.FeedbackAge, now: o.Now, listed: store.NewTokenSet()}
}

// prepare reads all lists into memory, and lets go of what is too old or too
// much by now.
func (f *Feedback) prepare(tx *bbolt.Tx) error {
	apps, err := tx.CreateBucketIfNotExists(feedbackBucket)
	if err != nil {
		return err
	}
	var names []string
	if err := apps.ForEachBucket(func(name []byte) error {
		names = append(names, string(name))
		return nil
	}); err != nil {
		return err
	}
	for _, app := range names {
		l := appList(tx, app)
		if err := l.check(func(token []byte) { f.listed.Add(app, token) }); err != nil {
			return err
		}
		if err := f.finish(tx, app, l, nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// Record implements store.Feedback. It writes only if there is news: APNs says
// the same of a dead device at every push to it.
func (f *Feedback) Record(ctx context.Context, app string, dead ...store.Dead) error {
	if err := store.CheckDead(app, dead); err != nil {
		return err
	}
	news := false
	err := f.file.view(ctx, func(tx *bbolt.Tx) error {
		l := appList(tx, app)
		for i := 0; i < len(dead) && !news; i++ {
			news = f.isNews(l, dead[i])
		}
		return nil
	})
	if err != nil || !news {
		return err
	}
	return f.file.update(ctx, func(tx *bbolt.Tx) error {
		l, err := makeList(tx, app)
		if err != nil {
			return err
		}
		var added [][]byte
		now := millis(f.now())
		for _, d := range dead {
			if !f.isNews(l, d) {
				continue
			}
			if err := l.put(d.Token, millis(d.Time), now); err != nil {
				return err
			}
			added = append(added, d.Token)
		}
		return f.finish(tx, app, l, added, nil)
	})
}

// isNews says whether d changes the list. An entry that is too old counts as
// gone, whether or not it is still there.
func (f *Feedback) isNews(l *list, d store.Dead) bool {
	e, ok := l.get(d.Token)
	return !ok || e.dead < millis(d.Time) || e.listed < f.oldest()
}

// Revive implements store.Feedback.
func (f *Feedback) Revive(ctx context.Context, app string, token []byte, sent time.Time) error {
	return f.remove(ctx, app, []store.Dead{{Token: token}}, func(e entry, _ store.Dead) bool {
		return e.dead < millis(sent)
	})
}

// Forget implements store.Feedback.
func (f *Feedback) Forget(ctx context.Context, app string, dead ...store.Dead) error {
	return f.remove(ctx, app, dead, func(e entry, d store.Dead) bool {
		return e.dead == millis(d.Time)
	})
}

// remove takes those of dead off the list of app of which leaves says so.
func (f *Feedback) remove(ctx context.Context, app string, dead []store.Dead, leaves func(entry, store.Dead) bool) error {
	if len(dead) == 0 {
		return ctx.Err()
	}
	return f.file.update(ctx, func(tx *bbolt.Tx) error {
		l := appList(tx, app)
		var removed [][]byte
		for _, d := range dead {
			e, ok := l.get(d.Token)
			if !ok || !leaves(e, d) {
				continue
			}
			if err := l.remove(d.Token, e); err != nil {
				return err
			}
			removed = append(removed, d.Token)
		}
		if len(removed) == 0 {
			return nil
		}
		return f.finish(tx, app, l, nil, removed)
	})
}

// finish ends a change of app's list, to which added has come and from which
// removed has gone: what is too much or too old leaves, and memory follows when
// the transaction is committed.
func (f *Feedback) finish(tx *bbolt.Tx, app string, l *list, added, removed [][]byte) error {
	evicted, expired := uint64(0), uint64(0)
	for {
		token, e, ok := l.first()
		if !ok {
			break
		}
		if e.listed < f.oldest() {
			expired++
		} else if l.count > uint64(f.entries) {
			evicted++
		} else {
			break
		}
		if err := l.remove(token, e); err != nil {
			return err
		}
		removed = append(removed, token)
	}
	tx.OnCommit(func() {
		for _, token := range added {
			f.listed.Add(app, token)
		}
		for _, token := range removed {
			f.listed.Remove(app, token)
		}
		f.evicted.Add(evicted)
		f.expired.Add(expired)
	})
	return l.save()
}

// Listed implements store.Feedback.
func (f *Feedback) Listed(app string, token []byte) bool { return f.listed.Has(app, token) }

// Revision implements store.Feedback.
func (f *Feedback) Revision(ctx context.Context, app string) (revision uint64, err error) {
	err = f.file.view(ctx, func(tx *bbolt.Tx) error {
		if l := appList(tx, app); l != nil {
			revision = l.app.Sequence()
		}
		return nil
	})
	return revision, err
}

// Pending implements store.Feedback.
func (f *Feedback) Pending(ctx context.Context, app string, after []byte, limit int) (page []store.Dead, err error) {
	err = f.file.view(ctx, func(tx *bbolt.Tx) error {
		page = appList(tx, app).page(after, limit, f.oldest())
		return nil
	})
	return page, err
}

// oldest is the time before which an entry that was listed then is too old.
func (f *Feedback) oldest() uint64 { return millis(f.now().Add(-f.age)) }
