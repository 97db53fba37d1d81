package boltstore

import "math/bits"

// bitmap is a set of the records of a blob, by their places in it.
type bitmap []uint64

func words(count int) int { return (count + 63) / 64 }

func (m bitmap) has(i int) bool { return m[i/64]&(1<<(i%64)) != 0 }
func (m bitmap) add(i int)      { m[i/64] |= 1 << (i % 64) }
func (m bitmap) remove(i int)   { m[i/64] &^= 1 << (i % 64) }

func (m bitmap) addAll(count int) {
	for i := range m {
		m[i] = ^uint64(0)
	}
	if last := count % 64; last > 0 {
		m[len(m)-1] = 1<<last - 1
	}
}

func (m bitmap) len() (n int) {
	for _, w := range m {
		n += bits.OnesCount64(w)
	}
	return n
}
