package boltstore

import (
	"bytes"
	"slices"

	"go.etcd.io/bbolt"

	"apnsbridge/store"
)

// list is the list of one app within a transaction. What it does to the index
// can be undone.
type list struct {
	app    string
	bucket *bbolt.Bucket // nil if the app has no list
	index  *store.TokenIndex
	steps  []step
	grown  int // entries more than at first
}

// step is one change of the index.
type step struct {
	token   []byte
	put     uint64 // 0 if the token was removed
	removed uint64 // 0 if the token was not there
}

// entry is what stands on a list.
type entry struct {
	revision, dead, listed uint64
	token                  []byte // within the transaction
}

const entryHead = 2 * 8

func decodeEntry(key, v []byte) entry {
	return entry{revision: u64(key), dead: u64(v), listed: u64(v[8:]), token: v[entryHead:]}
}

// find is the entry of token.
func (l *list) find(token []byte) (e entry, ok bool) {
	revision, ok := l.index.Get(l.app, token)
	if !ok || l.bucket == nil {
		return e, false
	}
	key := appendU64(nil, revision)
	v := l.bucket.Get(key)
	if v == nil {
		return e, false
	}
	e = decodeEntry(key, v)
	return e, bytes.Equal(e.token, token) // or another has its hash
}

// put puts token at the end of the list, where e is its entry so far, or none.
func (l *list) put(token []byte, e entry, dead, listed uint64) error {
	if e.revision == 0 {
		l.grown++
	} else if err := l.bucket.Delete(appendU64(nil, e.revision)); err != nil {
		return err
	}
	revision, err := l.bucket.NextSequence()
	if err != nil {
		return err
	}
	was, _ := l.index.Get(l.app, token)
	l.index.Put(l.app, token, revision)
	l.steps = append(l.steps, step{token, revision, was})
	v := make([]byte, 0, entryHead+len(token))
	v = append(appendU64(appendU64(v, dead), listed), token...)
	return l.bucket.Put(appendU64(nil, revision), v)
}

// remove takes e off the list. token is its token in memory of the caller.
func (l *list) remove(e entry, token []byte) error {
	l.grown--
	l.index.Remove(l.app, token, e.revision)
	l.steps = append(l.steps, step{token, 0, e.revision})
	return l.bucket.Delete(appendU64(nil, e.revision))
}

// undo brings the index back to where it was.
func (l *list) undo() {
	for _, s := range slices.Backward(l.steps) {
		if s.removed != 0 {
			l.index.Put(l.app, s.token, s.removed)
		} else {
			l.index.Remove(l.app, s.token, s.put)
		}
	}
}

// first is the entry that has stood longest on the list unchanged.
func (l *list) first() (e entry, ok bool) {
	key, v := l.bucket.Cursor().First()
	if key == nil {
		return e, false
	}
	return decodeEntry(key, v), true
}

// page gives at most limit entries listed at oldest or later, behind the
// revision after.
func (l *list) page(after uint64, limit int, oldest uint64) []store.Dead {
	if l.bucket == nil || limit <= 0 {
		return nil
	}
	room := min(uint64(limit), l.bucket.Sequence()-min(after, l.bucket.Sequence()))
	page := make([]store.Dead, 0, room)
	tokens := make([]byte, 0, 32*room) // one piece of memory for most of them
	c := l.bucket.Cursor()
	for key, v := c.Seek(appendU64(nil, after)); key != nil && len(page) < limit; key, v = c.Next() {
		e := decodeEntry(key, v)
		if e.revision == after || e.listed < oldest {
			continue
		}
		at := len(tokens)
		tokens = append(tokens, e.token...)
		page = append(page, store.Dead{Token: tokens[at:len(tokens):len(tokens)], Time: fromMillis(e.dead), Revision: e.revision})
	}
	return page
}
