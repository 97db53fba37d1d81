package boltstore

import (
	"container/heap"
	"slices"
)

// lowest finds the lowest of many numbers. A number that does not count any more
// stays until it is the lowest, or until there are too many of that kind.
type lowest []uint64

// push adds a number, where about count of them count.
func (l *lowest) push(n uint64, count int, counts func(uint64) bool) {
	heap.Push((*numbers)(l), n)
	if len(*l) > 2*count+64 {
		*l = slices.DeleteFunc(*l, func(n uint64) bool { return !counts(n) })
		slices.Sort(*l) // which makes a heap
		*l = slices.Compact(*l)
	}
}

// min is the lowest number that counts.
func (l *lowest) min(counts func(uint64) bool) (n uint64, ok bool) {
	for len(*l) > 0 {
		if n = (*l)[0]; counts(n) {
			return n, true
		}
		heap.Pop((*numbers)(l))
	}
	return 0, false
}

// numbers is a heap.Interface.
type numbers []uint64

func (h numbers) Len() int           { return len(h) }
func (h numbers) Less(i, j int) bool { return h[i] < h[j] }
func (h numbers) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *numbers) Push(x any)        { *h = append(*h, x.(uint64)) }

func (h *numbers) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}
