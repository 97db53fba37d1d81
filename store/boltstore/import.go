package boltstore

import (
	"context"
	"errors"
	"fmt"
	"os"

	"apnsbridge/store"
)

// Imported says what an import brought.
type Imported struct {
	Salvaged     // from the file
	Put      int // of these records, that are in the spool now
	Doubted  int // of those that were put, doubtful ones
	Expired  int // not put, because they had
	Left     int // not put, because they were doubtful
}

// Import puts the records of the spool file at path, which may be damaged, into
// this one: all or, with an error, none. Then it gives that file another name, so
// that it is not imported again. Doubtful records may be left out.
func (s *Spool) Import(ctx context.Context, path string, doubtful bool) (Imported, error) {
	if same(path, s.file.path) {
		return Imported{}, fmt.Errorf("%s is the spool itself", path)
	}
	i := &importing{spool: s, ctx: ctx, ids: make(map[string][]uint64), batches: make(map[string][]store.SpoolRecord)}
	now := s.now()
	var err error
	i.result.Salvaged, err = Salvage(path, func(r SalvagedRecord) error {
		switch {
		case !r.Expires.IsZero() && !r.Expires.After(now):
			i.result.Expired++
			return nil
		case r.Doubtful && !doubtful:
			i.result.Left++
			return nil
		}
		if r.Doubtful {
			i.result.Doubted++
		}
		return i.add(r)
	})
	if err == nil {
		err = i.put()
	}
	for queue, ids := range i.ids {
		i.result.Put += len(ids)
		if err != nil {
			s.Done(queue, ids...)
		} else {
			s.Return(queue, ids...)
		}
	}
	if err != nil {
		if errors.Is(err, store.ErrSpoolFull) {
			err = fmt.Errorf("%w: nothing of %s was imported: raise spool.max_bytes, which is %d", err, path, s.maxBytes)
		}
		i.result.Put, i.result.Doubted = 0, 0
		return i.result, errors.Join(err, s.Flush(context.WithoutCancel(ctx)))
	}
	if err := os.Rename(path, path+importedEnd); err != nil {
		return i.result, fmt.Errorf("all is imported; move %s away, so that it is not imported again: %w", path, err)
	}
	return i.result, nil
}

func same(a, b string) bool {
	there, err := os.Stat(a)
	if err != nil {
		return false
	}
	other, err := os.Stat(b)
	return err == nil && os.SameFile(there, other)
}

// importing is one Import.
type importing struct {
	spool   *Spool
	ctx     context.Context
	result  Imported
	ids     map[string][]uint64 // what was put so far
	batches map[string][]store.SpoolRecord
	bytes   int
}

// add copies a record for the next Put.
func (i *importing) add(r SalvagedRecord) error {
	memory := append(append(make([]byte, 0, len(r.Token)+len(r.Body)), r.Token...), r.Body...)
	at := len(r.Token)
	i.batches[r.Queue] = append(i.batches[r.Queue], store.SpoolRecord{Token: memory[:at:at], Body: memory[at:], Expires: r.Expires})
	if i.bytes += len(memory); i.bytes < blobBytes {
		return nil
	}
	return i.put()
}

func (i *importing) put() error {
	var batches []store.SpoolBatch
	for queue, records := range i.batches {
		batches = append(batches, store.SpoolBatch{Queue: queue, Records: records})
	}
	if err := i.spool.Put(i.ctx, batches...); err != nil {
		return err
	}
	for _, b := range batches {
		for _, r := range b.Records {
			i.ids[b.Queue] = append(i.ids[b.Queue], r.ID)
		}
	}
	i.bytes = 0
	clear(i.batches)
	return nil
}
