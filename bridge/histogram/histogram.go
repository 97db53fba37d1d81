// Package histogram counts durations by their size: a leaf that costs two additions
// an observation, and knows nothing of whoever shows what it has counted.
//
// Its cells are bounded by the buckets of both kinds of Prometheus' histograms at
// once, so that either is a sum of whole cells: the classic ones of Classic, and
// native ones of Schema.
//
// https://prometheus.io/docs/specs/native_histograms/
package histogram

import (
	"math"
	"math/bits"
	"slices"
	"time"
)

// Classic are the upper bounds of the classic buckets, without +Inf. A duration that
// equals a bound is in its bucket.
var Classic = [...]time.Duration{
	time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond,
	time.Second, 10 * time.Second, time.Minute, 10 * time.Minute, time.Hour,
}

const (
	// Schema is that of the native buckets: four for each doubling, so that a quantile
	// is right to 9 %.
	Schema = 2

	// ZeroSeconds bounds what is in no native bucket, for it is as good as nothing.
	ZeroSeconds = 1.0 / (1 << -lowest)

	lowest  = -14 // the power of two of ZeroSeconds: 61 µs
	highest = 21  // and of the highest bound: 24 days
)

// bounds are the upper bounds of all cells but the last, in nanoseconds.
var bounds = func() (all []uint64) {
	for i := lowest << Schema; i <= highest<<Schema; i++ {
		all = append(all, nativeBound(i))
	}
	for _, bound := range Classic {
		all = append(all, uint64(bound))
	}
	slices.Sort(all)
	return slices.Compact(all)
}()

// cellCount is len(bounds)+1, which the tests see to: two bounds of Classic, which are
// powers of two, are native ones as well.
const cellCount = (highest-lowest)<<Schema + 1 + len(Classic) - 2 + 1

// first finds where among bounds the search for a duration begins, by the place and
// the next two bits of its highest bit: never behind its cell, and rarely more than
// two before it.
var first = func() (at [64 << 2]uint8) {
	for key := range at {
		place, next := key>>2, uint64(key&3)
		least := uint64(0)
		if place > 0 {
			least = (4 | next) << place >> 3
		}
		i, _ := slices.BinarySearch(bounds, least)
		at[key] = uint8(i)
	}
	return at
}()

// classicEnds and nativeEnds are the cells behind each bucket.
var classicEnds, nativeEnds = func() (classic, native []int) {
	for _, bound := range Classic {
		classic = append(classic, cellOf(uint64(bound))+1)
	}
	for i := lowest<<Schema + 1; i <= highest<<Schema; i++ {
		native = append(native, cellOf(nativeBound(i))+1)
	}
	return classic, append(native, cellCount)
}()

// nativeBound is the upper bound of a native bucket, in nanoseconds.
func nativeBound(index int) uint64 { return uint64(math.Exp2(float64(index)/(1<<Schema)) * 1e9) }

// Histogram counts durations. The zero value is empty. It has no lock.
type Histogram struct {
	cells [cellCount]uint64
	sum   time.Duration
}

// Observe counts d. Less than nothing counts as nothing: a clock was set.
func (h *Histogram) Observe(d time.Duration) {
	d = max(d, 0)
	h.sum += d
	h.cells[cellOf(uint64(d))]++
}

func cellOf(ns uint64) int {
	place := bits.Len64(ns)
	i := int(first[(place<<2|int(ns<<3>>place&3))&(len(first)-1)])
	for i < len(bounds) && ns > bounds[i] {
		i++
	}
	return i
}

// Sum is that of all durations.
func (h *Histogram) Sum() time.Duration { return h.sum }

// Count is how many there were.
func (h *Histogram) Count() (n uint64) {
	for _, c := range h.cells {
		n += c
	}
	return n
}

// Buckets gives the classic ones, each with what is in those before it, as
// Prometheus has it; what is longer than the last bound is in Count alone.
func (h *Histogram) Buckets() (counts [len(Classic)]uint64) {
	n, cell := uint64(0), 0
	for i, end := range classicEnds {
		for ; cell < end; cell++ {
			n += h.cells[cell]
		}
		counts[i] = n
	}
	return counts
}

// Native gives the native buckets by their index, those that are not empty, and what
// is shorter than ZeroSeconds. What is longer than 24 days is in the highest.
func (h *Histogram) Native() (zero uint64, buckets map[int]int64) {
	buckets = make(map[int]int64)
	zero = h.cells[0]
	cell := 1
	for i, end := range nativeEnds {
		n := uint64(0)
		for ; cell < end; cell++ {
			n += h.cells[cell]
		}
		if n > 0 {
			buckets[lowest<<Schema+1+i] = int64(n)
		}
	}
	return zero, buckets
}
