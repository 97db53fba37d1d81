package boltstore

import (
	"bytes"

	"go.etcd.io/bbolt"

	"apnsbridge/store"
)

var (
	countKey     = []byte("count")
	tokensBucket = []byte("tokens")
	orderBucket  = []byte("order")
)

// list is the list of one app within a transaction. A nil list is empty.
type list struct {
	app, tokens, order *bbolt.Bucket
	count              uint64
}

// entry is what stands behind a token.
type entry struct{ dead, revision, listed uint64 }

const entrySize = 3 * 8

// appList is the list of app, nil if it has none.
func appList(tx *bbolt.Tx, app string) *list {
	b := tx.Bucket(feedbackBucket).Bucket([]byte(app))
	if b == nil {
		return nil
	}
	return &list{app: b, tokens: b.Bucket(tokensBucket), order: b.Bucket(orderBucket), count: u64(b.Get(countKey))}
}

// makeList is appList, and makes the list if there is none.
func makeList(tx *bbolt.Tx, app string) (*list, error) {
	if l := appList(tx, app); l != nil {
		return l, nil
	}
	b, err := tx.Bucket(feedbackBucket).CreateBucket([]byte(app))
	if err != nil {
		return nil, err
	}
	for _, name := range [][]byte{tokensBucket, orderBucket} {
		if _, err := b.CreateBucket(name); err != nil {
			return nil, err
		}
	}
	if err := b.Put(countKey, appendU64(nil, 0)); err != nil {
		return nil, err
	}
	return appList(tx, app), nil
}

// check reads the whole list, and calls token for each.
func (l *list) check(token func([]byte)) error {
	var tokens, order uint64
	err := l.tokens.ForEach(func(key, v []byte) error {
		if len(v) != entrySize {
			return damage("a feedback entry of %d bytes", len(v))
		}
		tokens++
		token(key)
		return nil
	})
	if err != nil {
		return err
	}
	err = l.order.ForEach(func(key, v []byte) error {
		order++
		return nil
	})
	if err == nil && (tokens != l.count || order != l.count) {
		err = damage("a feedback list has %d tokens and an order of %d, but counts %d", tokens, order, l.count)
	}
	return err
}

func (l *list) get(token []byte) (e entry, ok bool) {
	if l == nil {
		return e, false
	}
	v := l.tokens.Get(token)
	if v == nil {
		return e, false
	}
	return decodeEntry(v), true
}

func decodeEntry(v []byte) entry {
	return entry{dead: u64(v), revision: u64(v[8:]), listed: u64(v[16:])}
}

// put puts token on the list or changes what stands behind it.
func (l *list) put(token []byte, dead, listed uint64) error {
	if old, ok := l.get(token); ok {
		if err := l.order.Delete(appendU64(nil, old.revision)); err != nil {
			return err
		}
	} else {
		l.count++
	}
	revision, err := l.app.NextSequence()
	if err != nil {
		return err
	}
	v := appendU64(make([]byte, 0, entrySize), dead)
	v = appendU64(appendU64(v, revision), listed)
	if err := l.tokens.Put(token, v); err != nil {
		return err
	}
	return l.order.Put(appendU64(nil, revision), token)
}

// remove takes token, behind which e stands, off the list.
func (l *list) remove(token []byte, e entry) error {
	if err := l.order.Delete(appendU64(nil, e.revision)); err != nil {
		return err
	}
	l.count--
	return l.tokens.Delete(token)
}

// save ends a change of the list.
func (l *list) save() error {
	return l.app.Put(countKey, appendU64(nil, l.count))
}

// first is what has stood longest on the list unchanged. The token is the
// caller's.
func (l *list) first() (token []byte, e entry, ok bool) {
	key, token := l.order.Cursor().First()
	if key == nil {
		return nil, e, false
	}
	token = bytes.Clone(token)
	e, ok = l.get(token)
	if !ok {
		panic("a token in a feedback list's order is not on the list")
	}
	return token, e, true
}

// page gives at most limit entries listed at oldest or later, behind the token
// after.
func (l *list) page(after []byte, limit int, oldest uint64) []store.Dead {
	if l == nil || limit <= 0 {
		return nil
	}
	room := min(uint64(limit), l.count)
	page := make([]store.Dead, 0, room)
	tokens := make([]byte, 0, 32*room) // one allocation for most of them
	c := l.tokens.Cursor()
	key, v := c.Seek(after)
	if after != nil && bytes.Equal(key, after) {
		key, v = c.Next()
	}
	for ; key != nil && len(page) < limit; key, v = c.Next() {
		e := decodeEntry(v)
		if e.listed < oldest {
			continue
		}
		at := len(tokens)
		tokens = append(tokens, key...)
		page = append(page, store.Dead{Token: tokens[at:len(tokens):len(tokens)], Time: fromMillis(e.dead), Revision: e.revision})
	}
	return page
}
