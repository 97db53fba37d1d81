// Package idtable maps IDs to values where those in use follow one another.
//
// IDs are given one after the other, and looked up in much the same order. A map spreads
// them over all its memory; here each run of them lies together, so that most lookups
// find what the one before has brought into the processor's caches.
package idtable

import (
	"iter"
	"math/bits"
)

// Table is a map whose keys are IDs above 0. Its zero value is empty.
type Table[V any] struct {
	slots []slot[V] // their number is a power of two, or 0; at least half of them are free
	used  int
}

// slot is free if its id is 0. From the home of an ID to where it stands no slot is free.
type slot[V any] struct {
	id    uint64
	value V
}

const (
	run     = 8    // IDs that have neighbouring homes
	fewest  = 64   // slots, once there are any
	maxIdle = 4096 // slots that an empty table keeps
)

// home is the first place that an ID may have.
func (t *Table[V]) home(id uint64) int {
	const spread = 0x9e3779b97f4a7c15 // 2⁶⁴ divided by the golden ratio: runs are spread evenly
	bits := bits.Len(uint(len(t.slots)/run)) - 1
	return int(id/run*spread>>(64-bits))*run + int(id%run)
}

func (t *Table[V]) next(i int) int { return (i + 1) & (len(t.slots) - 1) }

// find gives the place of an ID or, if it has none, the one that it would get.
func (t *Table[V]) find(id uint64) (i int, has bool) {
	for i = t.home(id); t.slots[i].id != 0; i = t.next(i) {
		if t.slots[i].id == id {
			return i, true
		}
	}
	return i, false
}

// Get gives the value of an ID, and whether it has one.
func (t *Table[V]) Get(id uint64) (value V, has bool) {
	if t.used == 0 {
		return value, false
	}
	i, has := t.find(id)
	return t.slots[i].value, has
}

// Set gives an ID a value.
func (t *Table[V]) Set(id uint64, value V) {
	if 2*t.used >= len(t.slots) {
		t.grow()
	}
	i, has := t.find(id)
	if !has {
		t.used++
	}
	t.slots[i] = slot[V]{id, value}
}

func (t *Table[V]) grow() {
	old := t.slots
	t.slots, t.used = make([]slot[V], max(fewest, 2*len(old))), 0
	for _, s := range old {
		if s.id != 0 {
			t.Set(s.id, s.value)
		}
	}
}

// Delete takes an ID's value away, if it has one.
func (t *Table[V]) Delete(id uint64) {
	if t.used == 0 {
		return
	}
	free, has := t.find(id)
	if !has {
		return
	}
	if t.used--; t.used == 0 && len(t.slots) > maxIdle {
		t.slots = nil
		return
	}
	// What stands behind it comes nearer to its home, so that it is still found.
	for i := t.next(free); t.slots[i].id != 0; i = t.next(i) {
		if all := len(t.slots) - 1; (i-t.home(t.slots[i].id))&all >= (i-free)&all {
			t.slots[free], free = t.slots[i], i
		}
	}
	t.slots[free] = slot[V]{}
}

// All gives all IDs with their values, in no order. The table must not change meanwhile.
func (t *Table[V]) All() iter.Seq2[uint64, V] {
	return func(yield func(uint64, V) bool) {
		for _, s := range t.slots {
			if s.id != 0 && !yield(s.id, s.value) {
				return
			}
		}
	}
}
