package boltstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"apnsbridge/store"
	"apnsbridge/store/boltstore/boltfile"
	"apnsbridge/store/boltstore/seglog"
)

// Imported says what an import has done.
type Imported struct {
	Put     int // records that are in the spool now
	Doubted int // of these, ones that may already be done: the part of the file that would tell is damaged
	Expired int // records not put because they had expired
	Done    int // records not put because they were done
	Broken  int // records that are damaged
}

// Import puts the undamaged records of a file into the spool, behind what is there. The
// file is a queues.db that was set aside, or a segment with the marks beside it. Import
// puts all of them or, with an error, none. Then it renames the file, so that it is not
// imported again. It needs 48 bytes of memory for each record.
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
	case filepath.Dir(path) == filepath.Clean(s.dir) && !strings.Contains(path, boltfile.DamagedInfix):
		return result, fmt.Errorf("%s is of the spool itself", path)
	}
	inUse := func(int64) (used, sure bool) { return true, true } // a segment has no pages
	of, _, _ := strings.Cut(filepath.Base(path), boltfile.DamagedInfix)
	name, ok := seglog.ParseName(of)
	if !ok {
		inUse = boltfile.PagesInUse(f, info.Size())
	}
	list, lost, err := seglog.Salvage(f, info.Size(), name, s.now().Unix(), inUse)
	if errors.Is(err, seglog.ErrNoFrames) {
		err = fmt.Errorf("%s has no notification that can be recognised; "+
			"a spool.db is imported by the version that wrote it", path)
	}
	if err != nil {
		return result, err
	}
	result.Done, result.Expired, result.Broken = lost.Done, lost.Expired, lost.Broken
	if err := s.importAll(ctx, f, list, &result); err != nil {
		return Imported{}, err
	}
	if err := os.Rename(path, path+boltfile.ImportedEnd); err != nil {
		return result, fmt.Errorf("all is imported; move %s away, so that it is not imported again: %w", path, err)
	}
	return result, nil
}

// importAll puts everything that was found, or nothing.
func (s *Spool) importAll(ctx context.Context, f *os.File, list []seglog.Salvaged, result *Imported) (err error) {
	const together = 4 << 20 // bytes in one Put
	put := make(map[store.Line][]store.SpoolKey)
	batches, bytes := make(map[store.Line][]store.SpoolRecord), 0
	for i, from := range list {
		r, name, size, failed := from.Read(f)
		if err = failed; err != nil {
			break
		}
		if l, ok := store.ParseLine(name); ok {
			batches[l] = append(batches[l], r)
			if result.Put++; !from.Used {
				result.Doubted++
			}
		}
		if bytes += size; bytes < together && i < len(list)-1 {
			continue
		}
		var all []store.SpoolBatch
		for l, records := range batches {
			all = append(all, store.SpoolBatch{Line: l, Records: records})
		}
		if err = s.Put(ctx, all...); err != nil {
			break
		}
		for _, b := range all {
			put[b.Line] = append(put[b.Line], store.KeysOf(b.Records)...)
		}
		clear(batches)
		bytes = 0
	}
	for l, keys := range put {
		if err != nil {
			s.Done(l, keys...)
		} else {
			s.Return(l, keys...)
		}
	}
	if errors.Is(err, store.ErrSpoolFull) {
		err = fmt.Errorf("%w: nothing of %s was imported: raise spool.max_bytes, which is %d",
			err, f.Name(), s.bounds.total)
	}
	return errors.Join(err, s.Flush(context.WithoutCancel(ctx)))
}
