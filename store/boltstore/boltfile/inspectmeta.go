package boltfile

import (
	"fmt"
	"hash/fnv"
	"io"
)

// meta is the head of a file.
type meta struct{ pageSize, root, freelist, pages, transaction uint64 }

// readMeta gives the later of the two heads of which at least one is whole.
func readMeta(from io.ReaderAt, size int64) (latest meta, ok bool, err error) {
	const smallest, largest = 1 << 10, 1 << 25
	read := func(at uint64) (m meta, whole bool) {
		b := make([]byte, metaSize)
		if at+pageHead+metaSize > uint64(size) || err != nil {
			return m, false
		}
		if _, err = from.ReadAt(b, int64(at+pageHead)); err != nil {
			return m, false
		}
		sum := fnv.New64a()
		sum.Write(b[:metaSize-8])
		if native.Uint32(b) != boltMagic || native.Uint64(b[metaSize-8:]) != sum.Sum64() {
			return m, false
		}
		if version := native.Uint32(b[4:]); version != boltVersion {
			err = fmt.Errorf("is of bbolt's version %d and this program knows version %d: "+
				"use the program that wrote it, or another store.path", version, boltVersion)
			return m, false
		}
		return meta{
			pageSize: uint64(native.Uint32(b[8:])), root: native.Uint64(b[16:]), freelist: native.Uint64(b[32:]),
			pages: native.Uint64(b[40:]), transaction: native.Uint64(b[48:]),
		}, true
	}
	latest, ok = read(0)
	for at := uint64(smallest); at <= largest; at *= 2 {
		if ok && at != latest.pageSize {
			continue
		}
		if second, whole := read(at); whole && second.pageSize == at {
			if !ok || second.transaction > latest.transaction {
				latest = second
			}
			return latest, true, err
		}
	}
	return latest, ok && latest.pageSize >= smallest && latest.pageSize <= largest, err
}

// PagesInUse tells of a place in a file that may be damaged whether what stands there is in
// use, and whether that is sure.
func PagesInUse(from io.ReaderAt, size int64) func(at int64) (used, sure bool) {
	m, ok, err := readMeta(from, size)
	if !ok || err != nil {
		return func(int64) (used, sure bool) { return false, false }
	}
	i := newInspection(from, m)
	i.lenient = true
	sure := i.tree(m.root, 0, nil, nil) == nil && !i.broken
	return func(at int64) (bool, bool) {
		page := uint64(at) / m.pageSize
		return page < m.pages && i.used[page/64]&(1<<(page%64)) != 0, sure
	}
}
