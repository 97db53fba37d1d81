package boltstore

// bitmap is a set of places.
type bitmap []uint64

func words(count int) int { return (count + 63) / 64 }

func (m bitmap) has(i int) bool { return m[i/64]&(1<<(i%64)) != 0 }
func (m bitmap) add(i int)      { m[i/64] |= 1 << (i % 64) }
