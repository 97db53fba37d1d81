package bridge

import (
	"hash/maphash"
	"sync"
)

const chainShards = 32 // a power of two

// chains keeps the notifications for one device in their order: one at a time
// is upstream, the others wait behind it. There is one for each app, over all
// connections.
//
// Devices are told apart by a 64-bit hash. Two that share one wait for each
// other, which costs them a little time and nothing else.
type chains struct {
	seed   maphash.Seed
	shards [chainShards]chainShard
}

type chainShard struct {
	mu   sync.Mutex
	last map[uint64]*record // the last of each chain
}

func newChains() *chains {
	c := &chains{seed: maphash.MakeSeed()}
	for i := range c.shards {
		c.shards[i].last = make(map[uint64]*record)
	}
	return c
}

func (c *chains) shardOf(r *record) (*chainShard, uint64) {
	key := maphash.Bytes(c.seed, r.Token())
	return &c.shards[key%chainShards], key
}

// enter puts r behind all others for its device. It says whether r is the
// first, and so may go.
func (c *chains) enter(r *record) (first bool) {
	s, key := c.shardOf(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.last[key]
	s.last[key] = r
	if last != nil {
		last.behind = r
	}
	return last == nil
}

// leaveAll takes out r, which is first, and all behind it. It returns the first
// of them; each has the next one behind it.
func (c *chains) leaveAll(r *record) *record {
	s, key := c.shardOf(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.last, key)
	return r
}

// leave takes out r, which is first, and returns the next, which may go now.
func (c *chains) leave(r *record) (next *record) {
	s, key := c.shardOf(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last[key] == r {
		delete(s.last, key)
		return nil
	}
	next, r.behind = r.behind, nil
	return next
}
