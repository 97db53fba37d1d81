package boltstore

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
)

// fate is what can be said of what stands on a page of a damaged file.
type fate int

const (
	gone  fate = iota // it is free: what stood there has ended, or was never committed
	maybe             // nothing says whether it is free
	there             // it is in use
)

// scan finds what stands in a damaged spool file page by page, without its tree:
// a page in use begins with its own number, which no notification can know, and
// says where values begin on it, on which none has a bearing.
type scan struct {
	from     io.ReaderAt
	size     int64
	pageSize int64
	known    bool   // there is a head, and so pages, tree and maybe free
	pages    uint64 // the high-water mark
	tree     *inspection
	free     *inspection // nil: the list of free pages cannot be read
	head     []byte      // memory for a blob's head
	values   []int       // memory for places on a page
}

// maxPages bounds the memory for what is known of pages: 8 MiB, twice.
const maxPages = 1 << 26

// newScan looks at what is left of the tree and of the list of free pages.
func newScan(from io.ReaderAt, size int64) *scan {
	s := &scan{from: from, size: size, pageSize: int64(os.Getpagesize()), head: make([]byte, maxHead)}
	m, ok, err := readMeta(from, size)
	if !ok || err != nil || m.pages > maxPages {
		return s
	}
	s.known, s.pageSize, s.pages = true, int64(m.pageSize), m.pages
	s.tree = newInspection(from, m)
	s.tree.lenient, s.tree.whole = true, wholeValue
	s.tree.below(s.tree.tree(m.root, 0, nil, nil))
	s.free = newInspection(from, m)
	if s.free.freelist(m.freelist) != nil {
		s.free = nil
	}
	s.tree.bufs = nil
	for page := uint64(2); s.free != nil && page < s.pages; page++ {
		if !s.tree.has(page) && !s.free.has(page) {
			s.tree.broken = true // it has lost a page, and does not know
		}
	}
	return s
}

// wholeValue says whether a value of a spool file is as it was written.
func wholeValue(key, value []byte) bool {
	return len(key) != len(bitmapKey(make([]byte, 8))) || bitmapSize(value) == len(value)
}

// fate is that of what stands on a page.
func (s *scan) fate(page uint64) fate {
	switch {
	case !s.known:
		return maybe
	case page >= s.pages:
		return gone
	case s.tree.has(page):
		return there
	case s.free != nil && !s.free.has(page):
		return there
	case s.free == nil && s.tree.broken:
		return maybe
	}
	return gone
}

// certain says that all that is in use is known, and as it was written.
func (s *scan) certain() bool { return s.known && !s.tree.broken }

// has says whether a page has been found in use.
func (i *inspection) has(page uint64) bool { return i.used[page/64]&(1<<(page%64)) != 0 }

// found is what a scan finds: a blob, a bitmap or what is left of one.
type found struct {
	head   *blobHead // of a blob; borrowed until fn returns
	bitmap []byte    // as it stands in the file; borrowed too
	lost   bool      // something that begins like a blob
	at     int64
	fate   fate
}

// each calls fn for all that is found, in the order in which it stands, until fn
// fails. unread is how many pages there were that cannot be read.
func (s *scan) each(fn func(found) error) (unread int, err error) {
	chunk := make([]byte, 256*s.pageSize)
	for at := int64(0); at < s.size; {
		b := chunk[:min(int64(len(chunk)), s.size-at)]
		if err := readAll(s.from, b, at); err != nil {
			b = b[:min(int64(len(b)), s.pageSize)] // page by page, then
			if err := readAll(s.from, b, at); err != nil {
				unread++
				clear(b)
			}
		}
		next := at + int64(len(b))
		for len(b) > 0 {
			page := b[:min(int64(len(b)), s.pageSize)]
			end, err := s.page(page, at, fn)
			if err != nil {
				return unread, err
			}
			skip := (end - at + s.pageSize - 1) / s.pageSize * s.pageSize
			if at += skip; skip >= int64(len(b)) {
				break
			}
			b = b[skip:]
		}
		at = max(at, next)
	}
	return unread, nil
}

// readAll reads b at at. That the file ends within it is no error: what is not
// there reads as zeros.
func readAll(from io.ReaderAt, b []byte, at int64) error {
	n, err := from.ReadAt(b, at)
	clear(b[n:])
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// page looks through a page that stands at at, and says where what was found ends.
func (s *scan) page(page []byte, at int64, fn func(found) error) (end int64, err error) {
	const magic = "\x89apns"
	end = at + int64(len(page))
	if len(page) < pageHead || native.Uint64(page) != uint64(at/s.pageSize) || native.Uint16(page[8:]) != leafPage {
		return end, nil
	}
	s.values = leafValues(s.values[:0], page, 0)
	// A blob that has a page to itself has a place that needs no table.
	if alone := pageHead + elementSize + len(blobKey); !slices.Contains(s.values, alone) {
		s.values = append(s.values, alone)
	}
	for _, from := range s.values {
		if from >= len(page) || !bytes.HasPrefix(page[from:], []byte(magic)) {
			continue
		}
		f, size := s.look(page[from:], at+int64(from))
		if err := fn(f); err != nil {
			return end, err
		}
		if f.head != nil && f.fate == there { // else others may have the pages on which it went on
			end = max(end, at+int64(from+size))
		}
	}
	return end, nil
}

// leafValues appends where on a leaf page values begin, in buckets within it too:
// b is the page from base on. It goes by the page's table and not by what values
// say, as long as that table makes sense: keys and values stand one behind another.
func leafValues(values []int, b []byte, base int) []int {
	count := int(native.Uint16(b[base+10:]))
	table := base + pageHead
	next := table + count*elementSize
	for at := table; at < table+count*elementSize && next < len(b); at += elementSize {
		e := b[at:]
		if int(native.Uint32(e[4:])) != next-at {
			break
		}
		value := next + int(native.Uint32(e[8:]))
		next = value + int(native.Uint32(e[12:]))
		switch inline := value + bucketHead; {
		case native.Uint32(e) == 0:
			values = append(values, value)
		case base == 0 && inline+pageHead <= len(b) && native.Uint64(b[value:]) == 0:
			values = leafValues(values, b, inline)
		}
	}
	return values
}

// look says what it is that begins like something of ours at at, and how long a
// blob is. b is what there is of it on its page.
func (s *scan) look(b []byte, at int64) (f found, size int) {
	f = found{at: at, fate: s.fate(uint64(at / s.pageSize))}
	if size := bitmapSize(b); size > 0 {
		f.bitmap = b[:size]
		return f, 0
	}
	head := s.head[:min(int64(len(s.head)), s.size-at)]
	if err := readAll(s.from, head, at); err == nil {
		if h, err := readHead(head); err == nil {
			f.head = &h
			return f, h.size
		}
	}
	f.lost = f.fate != gone
	return f, 0
}
