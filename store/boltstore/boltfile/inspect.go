package boltfile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// bbolt trusts its file. A branch that leads back to itself, or a list of free
// pages that claims to be endless, takes memory until the process dies, which
// nothing recovers from. So the structure is looked at before bbolt sees it, by
// reading and not by mapping: pages that are not there give errors, not SIGBUS.
//
// The layout is that of bbolt's version 2, in the byte order of the machine:
//
//	page     id u64 · flags u16 · count u16 · overflow u32 · elements · data
//	meta     magic u32 · version u32 · page size u32 · flags u32 · root bucket ·
//	         freelist u64 · high-water mark u64 · transaction u64 · FNV-1a u64
//	bucket   root page u64 · sequence u64; root page 0: its only page follows
//	branch   key offset u32 · key size u32 · page u64
//	leaf     flags u32 · key offset u32 · key size u32 · value size u32
//	freelist page u64, as many as count; or 65,535: the first is their number
const (
	boltMagic   = 0xed0cdaed
	boltVersion = 2

	metaSize    = 64
	pageHead    = 16
	bucketHead  = 16
	elementSize = 16

	branchPage   = 1
	leafPage     = 2
	freelistPage = 16

	bucketElement = 1 // a leaf element whose value is a bucket

	maxDepth = 64 // of a tree; a page has two children at least
)

var native = binary.NativeEndian

// inspection reads a file as its last transaction left it.
type inspection struct {
	from     io.ReaderAt
	pageSize uint64
	pages    uint64   // the high-water mark: pages behind it do not count
	used     []uint64 // a bit for each page
	bufs     [][]byte // by depth

	lenient bool // what is damaged is passed over
	broken  bool // something was
}

// lenientMax bounds the bytes of a page with what it overflows into, if damage is
// passed over. The largest value of a spool is smaller.
const lenientMax = 32 << 20

func newInspection(from io.ReaderAt, m meta) *inspection {
	return &inspection{from: from, pageSize: m.pageSize, pages: m.pages, used: make([]uint64, m.pages/64+1)}
}

// below takes what came of looking at something below a page.
func (i *inspection) below(err error) error {
	if err == nil || !i.lenient {
		return err
	}
	i.broken = true
	return nil
}

// inspect says what in a file of size bytes would mislead bbolt. It does not
// look at what the values say. A file without a byte is a new one.
func inspect(from io.ReaderAt, size int64) error {
	if size == 0 {
		return nil
	}
	m, ok, err := readMeta(from, size)
	if err != nil {
		return err
	}
	if !ok {
		return Damage("neither of its two heads is whole")
	}
	if uint64(size)/m.pageSize < m.pages {
		return Damage("%d bytes are left of %d pages of %d", size, m.pages, m.pageSize)
	}
	i := newInspection(from, m)
	if err := i.tree(m.root, 0, nil, nil); err != nil {
		return err
	}
	return i.freelist(m.freelist)
}

// page reads a page with what it overflows into, and marks it used.
func (i *inspection) page(id uint64, depth int) ([]byte, error) {
	if depth >= maxDepth {
		return nil, Damage("its tree is deeper than %d pages", maxDepth)
	}
	if id < 2 || id >= i.pages {
		return nil, Damage("page %d of %d is asked for", id, i.pages)
	}
	for depth >= len(i.bufs) {
		i.bufs = append(i.bufs, make([]byte, i.pageSize))
	}
	b := i.bufs[depth][:i.pageSize]
	if _, err := i.from.ReadAt(b, int64(id*i.pageSize)); err != nil {
		return nil, fmt.Errorf("page %d: %w", id, err)
	}
	more := uint64(native.Uint32(b[12:]))
	if native.Uint64(b) != id || id+more >= i.pages || i.lenient && more*i.pageSize > lenientMax {
		return nil, Damage("page %d says that it is page %d and %d more of %d", id, native.Uint64(b), more, i.pages)
	}
	for n := id; n <= id+more; n++ {
		if err := i.use(n); err != nil {
			return nil, err
		}
	}
	if more > 0 {
		b = append(b, make([]byte, more*i.pageSize)...)
		i.bufs[depth] = b
		if _, err := i.from.ReadAt(b[i.pageSize:], int64((id+1)*i.pageSize)); err != nil {
			return nil, fmt.Errorf("page %d: %w", id+1, err)
		}
	}
	return b, nil
}

func (i *inspection) use(id uint64) error {
	if i.used[id/64]&(1<<(id%64)) != 0 {
		return Damage("page %d is used twice", id)
	}
	i.used[id/64] |= 1 << (id % 64)
	return nil
}

// tree looks at a page and all below it. Its keys begin at low and end before
// high; nil is no bound.
func (i *inspection) tree(id uint64, depth int, low, high []byte) error {
	b, err := i.page(id, depth)
	if err != nil {
		return err
	}
	switch flags := native.Uint16(b[8:]); flags {
	case leafPage:
		return i.leaf(b, id, depth, low, high)
	case branchPage:
		return i.branch(b, id, depth, low, high)
	default:
		return Damage("page %d of a tree is of kind %#x", id, flags)
	}
}

func (i *inspection) branch(b []byte, id uint64, depth int, low, high []byte) error {
	count := int(native.Uint16(b[10:]))
	if count == 0 {
		return Damage("page %d has no children", id)
	}
	var key []byte
	var child uint64
	for n := range count + 1 {
		next, end := high, uint64(0)
		if n < count {
			e, err := element(b, id, n, count)
			if err != nil {
				return err
			}
			end = native.Uint64(e[8:])
			if next, err = cut(b, id, n, uint64(native.Uint32(e)), uint64(native.Uint32(e[4:]))); err != nil {
				return err
			}
			before := key
			if n == 0 {
				before = low
			}
			if !follows(before, next, high, n > 0) {
				return Damage("page %d has keys in disorder", id)
			}
		}
		if n > 0 {
			if err := i.below(i.tree(child, depth+1, key, next)); err != nil {
				return err
			}
		}
		key, child = next, end
	}
	return nil
}

func (i *inspection) leaf(b []byte, id uint64, depth int, low, high []byte) error {
	count := int(native.Uint16(b[10:]))
	for n := range count {
		e, err := element(b, id, n, count)
		if err != nil {
			return err
		}
		at := uint64(native.Uint32(e[4:]))
		keySize, valueSize := uint64(native.Uint32(e[8:])), uint64(native.Uint32(e[12:]))
		key, err := cut(b, id, n, at, keySize)
		if err != nil {
			return err
		}
		value, err := cut(b, id, n, at+keySize, valueSize)
		if err != nil {
			return err
		}
		if !follows(low, key, high, n > 0) {
			return Damage("page %d has keys in disorder", id)
		}
		low = key
		switch flags := native.Uint32(e); {
		case flags == 0:
		case flags != bucketElement || id == 0: // a bucket within its parent's page has none below
			return Damage("page %d has an element of kind %#x", id, flags)
		default:
			if err := i.below(i.bucket(value, id, depth)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (i *inspection) bucket(value []byte, id uint64, depth int) error {
	if len(value) < bucketHead {
		return Damage("page %d has a bucket of %d bytes", id, len(value))
	}
	if root := native.Uint64(value); root != 0 {
		return i.tree(root, depth+1, nil, nil)
	}
	inline := value[bucketHead:]
	if len(inline) < pageHead || native.Uint64(inline) != 0 || native.Uint16(inline[8:]) != leafPage ||
		native.Uint32(inline[12:]) != 0 {
		return Damage("page %d has a bucket without a page", id)
	}
	return i.leaf(inline, 0, depth, nil, nil)
}

// element is the nth of a page's elements.
func element(b []byte, id uint64, n, count int) ([]byte, error) {
	if at := pageHead + n*elementSize; at+elementSize <= len(b) {
		return b[at : at+elementSize], nil
	}
	return nil, Damage("page %d has %d elements in %d bytes", id, count, len(b))
}

// cut is the size bytes at the offset at from the nth element of a page.
func cut(b []byte, id uint64, n int, at, size uint64) ([]byte, error) {
	at += uint64(pageHead + n*elementSize)
	if at+size > uint64(len(b)) {
		return nil, Damage("element %d of page %d ends at byte %d of %d", n, id, at+size, len(b))
	}
	return b[at : at+size], nil
}

// follows reports whether key stands at low or, if so asked, behind it, and before
// high.
func follows(low, key, high []byte, behind bool) bool {
	order := bytes.Compare(low, key)
	return (order < 0 || order == 0 && !behind) && (high == nil || bytes.Compare(key, high) < 0)
}

// freelist looks at the list of free pages, which may not be in use.
func (i *inspection) freelist(id uint64) error {
	b, err := i.page(id, 0)
	if err != nil {
		return err
	}
	if flags := native.Uint16(b[8:]); flags != freelistPage {
		return Damage("page %d has no list of free pages but is of kind %#x", id, flags)
	}
	count, ids := uint64(native.Uint16(b[10:])), b[pageHead:]
	if count == 1<<16-1 {
		count, ids = native.Uint64(ids), ids[8:]
	}
	if count > uint64(len(ids)/8) {
		return Damage("%d free pages are listed in %d bytes", count, len(ids))
	}
	for ; count > 0; count-- {
		free := native.Uint64(ids)
		ids = ids[8:]
		if free < 2 || free >= i.pages {
			return Damage("page %d of %d is free", free, i.pages)
		}
		if err := i.use(free); err != nil {
			return err
		}
	}
	return nil
}
