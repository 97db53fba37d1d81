package boltstore

import (
	"bytes"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"apnsbridge/store"
	"apnsbridge/store/boltstore/boltfile"
)

// lists are the lists of one kind, one for each app, each bounded in number and in
// age.
type lists struct {
	bucket  []byte // has a bucket for each list
	entries int    // of one list, at most
	age     time.Duration
	now     func() time.Time

	// Both are ahead of the file while a transaction is under way. The writer
	// changes them, and undoes its changes if the transaction fails.
	index  *store.TokenIndex
	counts map[string]int // entries by app; used by the writer alone

	evicted, expired atomic.Uint64
}

func newLists(bucket string, entries int, age time.Duration, now func() time.Time) *lists {
	return &lists{
		bucket: []byte(bucket), entries: entries, age: age, now: now,
		index: store.NewTokenIndex(), counts: make(map[string]int),
	}
}

// prepare reads all lists into memory, and removes what is too old or too much by
// now.
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

// of gives the list of app within tx, for reading.
func (k *lists) of(tx *bbolt.Tx, app string) *list {
	all := tx.Bucket(k.bucket)
	return &list{app: app, all: all, bucket: all.Bucket([]byte(app)), index: k.index}
}

// begin gives the list of app within the writer's tx, without entries that are too old.
func (k *lists) begin(tx *bbolt.Tx, app string) (*list, error) {
	l := k.of(tx, app)
	l.before = k.counts[app]
	if l.bucket != nil {
		l.bucket.FillPercent = onlyGrows
	}
	return l, k.bound(tx, l)
}

// bound removes the entries of l that are too many or too old.
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

// undo restores memory to what it was before l changed.
func (k *lists) undo(l *list) {
	l.undo()
	k.counts[l.app] = l.before
}

// oldest is the earliest time at which an entry may have come without being too old.
func (k *lists) oldest() uint64 { return millis(k.now().Add(-k.age)) }

// news reports whether d changes l, and gives the entry that is there so far. An entry
// that is too old counts as gone, though it may still be there.
func (k *lists) news(l *list, d store.Dead) (e entry, news bool) {
	e, ok := l.find(d.Token)
	if !ok {
		return entry{}, true
	}
	return e, e.dead < millis(d.Time) || e.since < k.oldest()
}

// record puts d on l if that changes l.
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
