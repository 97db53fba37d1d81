package boltstore

import (
	"bytes"
	"context"
	"slices"
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

	// Both are ahead of the file while a transaction is at work. The writer
	// changes them, and undoes that if the transaction fails.
	index  *store.TokenIndex
	counts map[string]int // entries by app; the writer's own

	evicted, expired atomic.Uint64
}

func newFeedback(f *file, o Options) *Feedback {
	return &Feedback{
		file: f, entries: o.FeedbackEntries, age: o.FeedbackAge, now: o.Now,
		index: store.NewTokenIndex(), counts: make(map[string]int),
	}
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
		l := f.list(tx, app)
		if err := l.bucket.ForEach(func(key, v []byte) error {
			if len(key) != 8 || len(v) <= entryHead || u64(key) == 0 || u64(key) > l.bucket.Sequence() {
				return damage("a feedback entry of %d bytes under %x", len(v), key)
			}
			e := decodeEntry(key, v)
			f.index.Put(app, e.token, e.revision)
			f.counts[app]++
			return nil
		}); err != nil {
			return err
		}
		if err := f.finish(tx, l); err != nil {
			return err
		}
	}
	return nil
}

// list is the list of app within tx.
func (f *Feedback) list(tx *bbolt.Tx, app string) *list {
	return &list{app: app, bucket: tx.Bucket(feedbackBucket).Bucket([]byte(app)), index: f.index}
}

// change runs fn on the list of app within the writer's transaction.
func (f *Feedback) change(ctx context.Context, app string, fn func(*list) error) error {
	var l *list
	count := 0
	return f.file.update(ctx, func(tx *bbolt.Tx) (err error) {
		l, count = f.list(tx, app), f.counts[app]
		if l.bucket == nil {
			if l.bucket, err = tx.Bucket(feedbackBucket).CreateBucket([]byte(app)); err != nil {
				return err
			}
		}
		l.bucket.FillPercent = 1 // it grows at its end only
		if err := fn(l); err != nil {
			return err
		}
		return f.finish(tx, l)
	}, func() {
		if l != nil {
			l.undo()
			f.counts[app] = count
		}
	})
}

// finish ends a change of l: what is too much or too old leaves.
func (f *Feedback) finish(tx *bbolt.Tx, l *list) error {
	count := f.counts[l.app] + l.grown
	evicted, expired := uint64(0), uint64(0)
	for oldest := f.oldest(); ; count-- {
		e, ok := l.first()
		if !ok {
			break
		}
		if e.listed < oldest {
			expired++
		} else if count > f.entries {
			evicted++
		} else {
			break
		}
		if err := l.remove(e, bytes.Clone(e.token)); err != nil {
			return err
		}
	}
	f.counts[l.app] = count
	tx.OnCommit(func() {
		f.evicted.Add(evicted)
		f.expired.Add(expired)
	})
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
		l := f.list(tx, app)
		for i := 0; i < len(dead) && !news; i++ {
			_, news = f.news(l, dead[i])
		}
		return nil
	})
	if err != nil || !news {
		return err
	}
	return f.change(ctx, app, func(l *list) error {
		now := millis(f.now())
		for _, d := range dead {
			if e, news := f.news(l, d); news {
				if err := l.put(d.Token, e, millis(d.Time), now); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// news says whether d changes the list, and what stands there so far. What is
// too old counts as gone, though it may still be there.
func (f *Feedback) news(l *list, d store.Dead) (e entry, news bool) {
	e, ok := l.find(d.Token)
	if !ok {
		return entry{}, true
	}
	return e, e.dead < millis(d.Time) || e.listed < f.oldest()
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
	if err := ctx.Err(); err != nil {
		return err
	}
	if !slices.ContainsFunc(dead, func(d store.Dead) bool { return f.Listed(app, d.Token) }) {
		return nil
	}
	return f.change(ctx, app, func(l *list) error {
		for _, d := range dead {
			if e, ok := l.find(d.Token); ok && leaves(e, d) {
				if err := l.remove(e, d.Token); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// Listed implements store.Feedback.
func (f *Feedback) Listed(app string, token []byte) bool {
	_, ok := f.index.Get(app, token)
	return ok
}

// Revision implements store.Feedback.
func (f *Feedback) Revision(ctx context.Context, app string) (revision uint64, err error) {
	err = f.file.view(ctx, func(tx *bbolt.Tx) error {
		if l := f.list(tx, app); l.bucket != nil {
			revision = l.bucket.Sequence()
		}
		return nil
	})
	return revision, err
}

// Pending implements store.Feedback.
func (f *Feedback) Pending(ctx context.Context, app string, after uint64, limit int) (page []store.Dead, err error) {
	err = f.file.view(ctx, func(tx *bbolt.Tx) error {
		page = f.list(tx, app).page(after, limit, f.oldest())
		return nil
	})
	return page, err
}

// oldest is the time before which an entry that was listed then is too old.
func (f *Feedback) oldest() uint64 { return millis(f.now().Add(-f.age)) }
