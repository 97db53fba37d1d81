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

// entry is what came of entering a chain.
type entry uint8

const (
	first   entry = iota // it may go
	behind               // it goes when the one before it has
	resting              // it has not entered
)

// enter puts r behind all others for its device, unless it can wait on disk: the
// first of them rests, or r is late and the others are there too.
func (c *chains) enter(r *record) entry {
	s, key := c.shardOf(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.last[key]
	if last == nil {
		r.onDisk = r.replayed()
		s.last[key] = r
		return first
	}
	if !r.turn && (last.rests || r.late && last.onDisk) {
		return resting
	}
	r.rests, r.onDisk = last.rests, last.onDisk && r.replayed()
	last.behind = r
	s.last[key] = r
	return behind
}

// rest says that r, which is first, waits on disk or for its next attempt, and
// takes out those behind it. It returns the first of them, as leaveAll.
func (c *chains) rest(r *record) (others *record) {
	s, key := c.shardOf(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	others, r.behind = r.behind, nil
	s.last[key], r.rests = r, true
	return others
}

// wake says that r, which is first, rests no more.
func (c *chains) wake(r *record) {
	s, key := c.shardOf(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last[key].rests = false
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
	s.last[key].rests = false
	return next
}
