package store

import (
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"
)

// TokenSet remembers which tokens are on which app's list, so that the way of
// a notification need not ask a database. It keeps 64-bit hashes: about 16
// bytes a token. It is for those who implement Feedback.
type TokenSet struct {
	seed   maphash.Seed
	len    atomic.Int64
	shards [64]tokenShard
}

type tokenShard struct {
	mu     sync.RWMutex
	hashes map[uint64]struct{}
	_      [32]byte // to a cache line, so that shards do not slow each other
}

// NewTokenSet returns an empty set.
func NewTokenSet() *TokenSet {
	s := &TokenSet{seed: maphash.MakeSeed()}
	for i := range s.shards {
		s.shards[i].hashes = make(map[uint64]struct{})
	}
	return s
}

// Has says whether token of app is in the set.
func (s *TokenSet) Has(app string, token []byte) bool {
	if s.len.Load() == 0 {
		return false // as it is most of the time
	}
	shard, hash := s.place(app, token)
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	_, ok := shard.hashes[hash]
	return ok
}

// Add puts token of app into the set.
func (s *TokenSet) Add(app string, token []byte) {
	shard, hash := s.place(app, token)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	before := len(shard.hashes)
	shard.hashes[hash] = struct{}{}
	s.len.Add(int64(len(shard.hashes) - before))
}

// Remove takes token of app out of the set.
func (s *TokenSet) Remove(app string, token []byte) {
	shard, hash := s.place(app, token)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	before := len(shard.hashes)
	delete(shard.hashes, hash)
	s.len.Add(int64(len(shard.hashes) - before))
}

// Len is the number of tokens in the set, of all apps.
func (s *TokenSet) Len() int { return int(s.len.Load()) }

func (s *TokenSet) place(app string, token []byte) (*tokenShard, uint64) {
	hash := maphash.Bytes(s.seed, token) ^ bits.RotateLeft64(maphash.String(s.seed, app), 1)
	return &s.shards[hash%uint64(len(s.shards))], hash
}
