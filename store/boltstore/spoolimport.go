package boltstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"apnsbridge/store"
)

// Imported says what an import has brought.
type Imported struct {
	Put     int // records that are in the spool now
	Doubted int // of these, that may have been done: where the file would say so is damaged
	Expired int // not put, because they had
	Done    int // not put, because they were
	Broken  int // that are damaged
}

// importable is a record in a file that is imported.
type importable struct {
	id      uint64
	off     int64
	size    int
	doubted bool
}

// Import puts what is whole in a file into the spool, behind what is there: a
// queues.db that was set aside, or a segment, with the marks beside it. It puts all
// or, with an error, none, and then gives the file another name, so that it is not
// imported again. What it takes of memory are 32 bytes a record.
func (s *Spool) Import(ctx context.Context, path string) (result Imported, err error) {
	f, err := os.Open(path)
	if err != nil {
		return result, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return result, err
	}
	switch {
	case !info.Mode().IsRegular():
		return result, fmt.Errorf("%s is not a file", path)
	case filepath.Dir(path) == filepath.Clean(s.dir) && !strings.Contains(path, damagedInfix):
		return result, fmt.Errorf("%s is of the spool itself", path)
	}
	salt, ok := fileSalt(f, info.Size())
	if !ok {
		return result, fmt.Errorf("%s has no notification that can be recognised; "+
			"a spool.db is imported by the version that wrote it", path)
	}
	list, err := s.survey(f, info.Size(), salt, &result)
	if err != nil {
		return result, err
	}
	if err := s.importAll(ctx, f, list, salt, &result); err != nil {
		return Imported{}, err
	}
	if err := os.Rename(path, path+importedEnd); err != nil {
		return result, fmt.Errorf("all is imported; move %s away, so that it is not imported again: %w", path, err)
	}
	return result, nil
}

// fileSalt is that of most frames in a file: what a provider has put into a body is
// not many.
func fileSalt(f *os.File, size int64) (salt uint32, ok bool) {
	const most = 1000 // different ones that are looked at
	counts := make(map[uint32]int)
	sc := scanner{from: f, size: size}
	for frame, _, ok := sc.next(); ok; frame, _, ok = sc.next() {
		if _, known := counts[frame.salt]; known || len(counts) < most {
			counts[frame.salt]++
		}
	}
	for other, n := range counts {
		if n > counts[salt] {
			salt = other
		}
	}
	return salt, len(counts) > 0
}

// survey finds what is to be imported, in the order of IDs.
func (s *Spool) survey(f *os.File, size int64, salt uint32, result *Imported) (list []importable, err error) {
	g := segment{path: f.Name(), size: size}
	if err := g.readMarks(); err != nil {
		return nil, err
	}
	inUse := pagesInUse(f, size)
	now := s.now().Unix()
	sc := scanner{from: f, salt: salt, size: size}
	for frame, at, ok := sc.next(); ok; frame, at, ok = sc.next() {
		used, sure := inUse(at)
		_, whole := frame.body(sc.bytes(at, frame.size))
		switch {
		case frame.kind == footerFrame, !used && sure: // of what has ended
		case !whole:
			result.Broken++
		case g.isDone(at):
			result.Done++
		case frame.expires != 0 && frame.expires <= now:
			result.Expired++
		default:
			list = append(list, importable{frame.id, at, frame.size, !used})
		}
	}
	slices.SortStableFunc(list, func(a, b importable) int {
		if a.id == b.id && a.doubted != b.doubted {
			if a.doubted {
				return 1
			}
			return -1
		}
		return cmp.Compare(a.id, b.id)
	})
	return slices.CompactFunc(list, func(a, b importable) bool { return a.id == b.id }), nil
}

// pagesInUse says of the pages of queues.db whether what stands there is in use, and
// whether that is sure. A segment has no pages.
func pagesInUse(f *os.File, size int64) func(at int64) (used, sure bool) {
	name, _, _ := strings.Cut(filepath.Base(f.Name()), damagedInfix)
	if _, ok := parseSegmentName(name); ok {
		return func(int64) (used, sure bool) { return true, true }
	}
	m, ok, err := readMeta(f, size)
	if !ok || err != nil {
		return func(int64) (used, sure bool) { return false, false }
	}
	i := newInspection(f, m)
	i.lenient = true
	sure := i.tree(m.root, 0, nil, nil) == nil && !i.broken
	return func(at int64) (bool, bool) {
		page := uint64(at) / m.pageSize
		return page < m.pages && i.used[page/64]&(1<<(page%64)) != 0, sure
	}
}

// importAll puts what was found, or nothing.
func (s *Spool) importAll(ctx context.Context, f *os.File, list []importable, salt uint32,
	result *Imported,
) (err error) {
	const together = 4 << 20 // bytes of a Put
	put := make(map[store.Line][]store.SpoolKey)
	batches, bytes := make(map[store.Line][]store.SpoolRecord), 0
	flush := func() error {
		var all []store.SpoolBatch
		for l, records := range batches {
			all = append(all, store.SpoolBatch{Line: l, Records: records})
		}
		if err := s.Put(ctx, all...); err != nil {
			return err
		}
		for _, b := range all {
			for _, r := range b.Records {
				put[b.Line] = append(put[b.Line], r.SpoolKey)
			}
			result.Put += len(b.Records)
		}
		clear(batches)
		bytes = 0
		return nil
	}
	for i := 0; i < len(list) && err == nil; i++ {
		b := make([]byte, list[i].size)
		if _, err = f.ReadAt(b, list[i].off); err != nil {
			break
		}
		frame, _ := readFrame(b, salt)
		l, ok := parseLine(string(frame.name))
		if !ok {
			continue
		}
		r := frame.record(b)
		r.ID = 0
		batches[l] = append(batches[l], r)
		if list[i].doubted {
			result.Doubted++
		}
		if bytes += len(b); bytes >= together {
			err = flush()
		}
	}
	if err == nil {
		err = flush()
	}
	for l, keys := range put {
		if err != nil {
			s.Done(l, keys...)
		} else {
			s.Return(l, keys...)
		}
	}
	if errors.Is(err, store.ErrSpoolFull) {
		err = fmt.Errorf("%w: nothing of %s was imported: raise spool.max_bytes, which is %d", err, f.Name(), s.bounds.total)
	}
	return errors.Join(err, s.Flush(context.WithoutCancel(ctx)))
}
