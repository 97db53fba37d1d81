package boltstore

import (
	"sync"
	"sync/atomic"
)

// deviceIndex is how many bytes devices have in their queues, by hashes: two can
// share one.
type deviceIndex struct {
	records atomic.Int64
	shards  [64]struct {
		mu    sync.RWMutex
		sizes map[uint32]int64
	}
}

func (x *deviceIndex) empty() bool { return x.records.Load() == 0 }

func (x *deviceIndex) bytes(device uint64) int64 {
	shard := &x.shards[device%64]
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	return shard.sizes[uint32(device>>32)]
}

func (x *deviceIndex) add(device uint64, n int64) {
	if n == 0 {
		return
	}
	shard := &x.shards[device%64]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if shard.sizes == nil {
		shard.sizes = make(map[uint32]int64)
	}
	hash := uint32(device >> 32)
	was := shard.sizes[hash]
	if was == 0 {
		x.records.Add(1)
	}
	if shard.sizes[hash] = was + n; was+n <= 0 {
		delete(shard.sizes, hash)
		x.records.Add(-1)
	}
}
