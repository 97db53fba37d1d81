package store

import (
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"
)

// TokenIndex remembers which tokens are on which app's list and the revisions
// of their entries, so that the way of a notification need not ask a database,
// and the database needs no index of its own. It keeps 64-bit hashes: two
// tokens can share one, so that a revision found here is where to look, not
// yet an answer. It is for those who implement Feedback.
type TokenIndex struct {
	seed   maphash.Seed
	len    atomic.Int64
	shards [64]tokenShard
}

type tokenShard struct {
	mu        sync.RWMutex
	revisions map[uint64]uint64 // by hash
	_         [32]byte          // to a cache line, so that shards do not slow each other
}

// NewTokenIndex returns an empty index.
func NewTokenIndex() *TokenIndex {
	x := &TokenIndex{seed: maphash.MakeSeed()}
	for i := range x.shards {
		x.shards[i].revisions = make(map[uint64]uint64)
	}
	return x
}

// Get is the revision that was put for token of app.
func (x *TokenIndex) Get(app string, token []byte) (revision uint64, ok bool) {
	if x.len.Load() == 0 {
		return 0, false // as it is most of the time
	}
	shard, hash := x.place(app, token)
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	revision, ok = shard.revisions[hash]
	return revision, ok
}

// Put puts a revision for token of app, in the place of an earlier one.
func (x *TokenIndex) Put(app string, token []byte, revision uint64) {
	shard, hash := x.place(app, token)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	before := len(shard.revisions)
	shard.revisions[hash] = revision
	x.len.Add(int64(len(shard.revisions) - before))
}

// Remove takes the revision of token of app away, unless it is another by now.
func (x *TokenIndex) Remove(app string, token []byte, revision uint64) {
	shard, hash := x.place(app, token)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if shard.revisions[hash] == revision {
		before := len(shard.revisions)
		delete(shard.revisions, hash)
		x.len.Add(int64(len(shard.revisions) - before))
	}
}

// Len is the number of tokens, of all apps.
func (x *TokenIndex) Len() int { return int(x.len.Load()) }

func (x *TokenIndex) place(app string, token []byte) (*tokenShard, uint64) {
	hash := maphash.Bytes(x.seed, token) ^ bits.RotateLeft64(maphash.String(x.seed, app), 1)
	return &x.shards[hash%uint64(len(x.shards))], hash
}
