package boltstore

import (
	"bytes"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"apnsbridge/store"
	"apnsbridge/store/boltstore/boltfile"
)

// lists are the lists of one kind, one per app, each bounded in number and in
// time.
type lists struct {
	bucket  []byte // the one that has theirs
	entries int    // of one list
	age     time.Duration
	now     func() time.Time

	// Both are ahead of the file while a transaction is at work. The writer
	// changes them, and undoes that if the transaction fails.
	index  *store.TokenIndex
	counts map[string]int // entries by app; the writer's own

	evicted, expired atomic.Uint64
}

func newLists(bucket string, entries int, age time.Duration, now func() time.Time) *lists {
	return &lists{
		bucket: []byte(bucket), entries: entries, age: age, now: now,
		index: store.NewTokenIndex(), counts: make(map[string]int),
	}
}

// prepare reads all lists into memory, and lets go of what is too old or too
// much by now.
func (k *lists) prepare(tx *bbolt.Tx) error {
	apps, err := tx.CreateBucketIfNotExists(k.bucket)
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
		l := k.of(tx, app)
		if err := l.bucket.ForEach(func(key, v []byte) error {
			if len(key) != 8 || len(v) <= entryHead || u64(key) == 0 || u64(key) > l.bucket.Sequence() {
				return boltfile.Damage("a %s entry of %d bytes under %x", k.bucket, len(v), key)
			}
			e := decodeEntry(key, v)
			k.index.Put(app, e.token, e.revision)
			k.counts[app]++
			return nil
		}); err != nil {
			return err
		}
		if _, err := k.begin(tx, app); err != nil {
			return err
		}
	}
	return nil
}

// of is the list of app within tx, to be read.
func (k *lists) of(tx *bbolt.Tx, app string) *list {
	all := tx.Bucket(k.bucket)
	return &list{app: app, all: all, bucket: all.Bucket([]byte(app)), index: k.index}
}

// begin is the list of app within the writer's tx, without what is too old.
func (k *lists) begin(tx *bbolt.Tx, app string) (*list, error) {
	l := k.of(tx, app)
	l.before = k.counts[app]
	if l.bucket != nil {
		l.bucket.FillPercent = onlyGrows
	}
	return l, k.bound(tx, l)
}

// bound removes from l what is too much or too old.
func (k *lists) bound(tx *bbolt.Tx, l *list) error {
	leaving, expired := l.excess(k.entries, k.oldest())
	for _, e := range leaving {
		if err := l.remove(e, bytes.Clone(e.token)); err != nil {
			return err
		}
	}
	k.counts[l.app] = l.len()
	tx.OnCommit(func() {
		k.expired.Add(uint64(expired))
		k.evicted.Add(uint64(len(leaving) - expired))
	})
	return nil
}

// undo brings memory back to where it was before l changed.
func (k *lists) undo(l *list) {
	l.undo()
	k.counts[l.app] = l.before
}

// oldest is the time before which an entry that came then is too old.
func (k *lists) oldest() uint64 { return millis(k.now().Add(-k.age)) }

// news reports whether d changes l, and what stands there so far. What is too old
// counts as gone, though it may still be there.
func (k *lists) news(l *list, d store.Dead) (e entry, news bool) {
	e, ok := l.find(d.Token)
	if !ok {
		return entry{}, true
	}
	return e, e.dead < millis(d.Time) || e.since < k.oldest()
}

// record puts d on l if it is news.
func (k *lists) record(l *list, d store.Dead) (news bool, err error) {
	e, news := k.news(l, d)
	if news {
		err = l.put(d.Token, e, millis(d.Time), millis(k.now()))
	}
	return news, err
}

// has reports whether token may be on the list of app.
func (k *lists) has(app string, token []byte) bool {
	_, ok := k.index.Get(app, token)
	return ok
}
