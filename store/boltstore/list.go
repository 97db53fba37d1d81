package boltstore

import (
	"bytes"
	"slices"

	"go.etcd.io/bbolt"

	"apnsbridge/store"
)

// onlyGrows is how full bbolt makes the pages of a list: entries are only appended.
const onlyGrows = 1

// list is the list of one app within a transaction. Its changes to the index can be
// undone.
type list struct {
	app    string
	all    *bbolt.Bucket // has the lists of all apps
	bucket *bbolt.Bucket // nil as long as the app has no list
	index  *store.TokenIndex
	steps  []step
	before int // entries at the beginning
	grown  int // entries added since, less those removed
}

// step is one change of the index.
type step struct {
	token   []byte
	put     uint64 // 0 if the token was removed
	removed uint64 // 0 if the token was not there
}

// entry is one entry of a list.
type entry struct {
	revision uint64
	dead     uint64
	since    uint64 // when it came to the list or last changed
	token    []byte // valid within the transaction
}

const entryHead = 2 * 8

func decodeEntry(key, v []byte) entry {
	return entry{revision: u64(key), dead: u64(v), since: u64(v[8:]), token: v[entryHead:]}
}

func (l *list) len() int { return l.before + l.grown }

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
	return e, bytes.Equal(e.token, token) // if not, another token has the same hash
}

// put puts token at the end of the list. e is its entry so far; zero if it has none.
func (l *list) put(token []byte, e entry, dead, since uint64) (err error) {
	if l.bucket == nil {
		if l.bucket, err = l.all.CreateBucket([]byte(l.app)); err != nil {
			return err
		}
		l.bucket.FillPercent = onlyGrows
	}
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
	v = append(appendU64(appendU64(v, dead), since), token...)
	return l.bucket.Put(appendU64(nil, revision), v)
}

// remove takes e off the list. token is its token, in memory that the caller owns.
func (l *list) remove(e entry, token []byte) error {
	l.grown--
	l.index.Remove(l.app, token, e.revision)
	l.steps = append(l.steps, step{token, 0, e.revision})
	return l.bucket.Delete(appendU64(nil, e.revision))
}

// undo restores the index.
func (l *list) undo() {
	for _, s := range slices.Backward(l.steps) {
		if s.removed != 0 {
			l.index.Put(l.app, s.token, s.removed)
		} else {
			l.index.Remove(l.app, s.token, s.put)
		}
	}
}

// excess gives the entries at the start of the list that came before oldest, and those
// after them that are too many. It finds all of them before any is removed: otherwise
// bbolt's cursor would have to find its way through the emptied pages again and again.
func (l *list) excess(entries int, oldest uint64) (excess []entry, expired int) {
	if l.bucket == nil {
		return nil, 0
	}
	c := l.bucket.Cursor()
	for key, v := c.First(); key != nil; key, v = c.Next() {
		e := decodeEntry(key, v)
		if e.since < oldest {
			expired++
		} else if l.len()-len(excess) <= entries {
			break
		}
		excess = append(excess, e)
	}
	return excess, expired
}

// revision is that of the latest entry that was added or changed.
func (l *list) revision() uint64 {
	if l.bucket == nil {
		return 0
	}
	return l.bucket.Sequence()
}

// page gives at most limit entries after the revision after, leaving out those that came
// before oldest.
func (l *list) page(after uint64, limit int, oldest uint64) []store.Dead {
	if l.bucket == nil || limit <= 0 {
		return nil
	}
	room := min(uint64(limit), l.revision()-min(after, l.revision()))
	page := make([]store.Dead, 0, room)
	tokens := make([]byte, 0, 32*room) // one allocation for most of them
	c := l.bucket.Cursor()
	for key, v := c.Seek(appendU64(nil, after)); key != nil && len(page) < limit; key, v = c.Next() {
		e := decodeEntry(key, v)
		if e.revision == after || e.since < oldest {
			continue
		}
		at := len(tokens)
		tokens = append(tokens, e.token...)
		token := tokens[at:len(tokens):len(tokens)]
		page = append(page, store.Dead{Token: token, Time: fromMillis(e.dead), Revision: e.revision})
	}
	return page
}
