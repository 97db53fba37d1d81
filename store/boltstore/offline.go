package boltstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
)

// ErrNoSpool says that a directory has no spool.
var ErrNoSpool = errors.New("there is no spool")

// OpenSpool opens the spool of the store in dir alone, and makes none. A file that
// is damaged is left as it is. The caller closes it.
func OpenSpool(dir string, o Options) (*Spool, error) {
	f, err := openOffline(dir)
	if err != nil {
		return nil, err
	}
	o.setDefaults()
	s := newSpool(f, o)
	if err := s.prepare(); err != nil {
		return nil, leftDamaged(f.refuse(err))
	}
	go f.write()
	return s, nil
}

func openOffline(dir string) (*file, error) {
	path := filepath.Join(dir, spoolFileName)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w in %s", ErrNoSpool, dir)
	}
	f, err := openFile(path, time.Now, true)
	if errors.Is(err, ErrInUse) {
		return nil, fmt.Errorf("%s is %w: stop the gateway that runs, and do this again", path, ErrInUse)
	}
	return f, leftDamaged(err)
}

// leftDamaged says what to do about a damaged file.
func leftDamaged(err error) error {
	if isDamage(err) {
		return fmt.Errorf("%w: start the gateway, which sets it aside and begins a new one, and import it then", err)
	}
	return err
}

// Close makes durable what is done, and closes a spool that OpenSpool opened.
func (s *Spool) Close() error { return s.close() }

// SpoolListing is what there is in a queue.
type SpoolListing struct {
	Queue   string
	Records int
	Bytes   int64     // of the file
	Oldest  time.Time // when the record was put that stands longest
	Expires time.Time // when the first record does; zero: none does
}

// List says what is in the queues that are not empty, as the file has it, in the
// order of their names.
func (s *Spool) List(ctx context.Context) (list []SpoolListing, err error) {
	err = s.file.view(ctx, func(tx *bbolt.Tx) error {
		root := tx.Bucket(spoolBucket)
		return root.ForEachBucket(func(name []byte) error {
			l := SpoolListing{Queue: string(name)}
			q := root.Bucket(name)
			if err := q.ForEachBucket(func(key []byte) error {
				value := blobIn(q, u64(key))
				h, b, err := s.coldBlob(q, l.Queue, u64(key), value)
				if err == nil {
					l.add(h, b, value)
				}
				return err
			}); err != nil || l.Records == 0 {
				return err
			}
			list = append(list, l)
			return nil
		})
	})
	return list, err
}

func (l *SpoolListing) add(h blobHead, b *blob, value []byte) {
	if put := fromMillis(h.put); l.Oldest.IsZero() || put.Before(l.Oldest) {
		l.Oldest = put
	}
	l.Records += b.free()
	l.Bytes += b.cost
	if h.soonest == 0 {
		return
	}
	for i, r := range h.records(value) {
		if at := r.expires(); !b.ended.has(i) && !at.IsZero() && (l.Expires.IsZero() || at.Before(l.Expires)) {
			l.Expires = at
		}
	}
}

// purgeRecords and purgeBytes are what Purge has in memory at a time.
const (
	purgeRecords = 10_000
	purgeBytes   = 16 << 20
)

// Purge ends all records of a queue that nobody has, and says how many those were.
func (s *Spool) Purge(ctx context.Context, queue string) (n int, err error) {
	var ids []uint64
	for {
		list, err := s.Take(ctx, queue, purgeRecords, purgeBytes)
		if err != nil || len(list) == 0 {
			return n, errors.Join(err, s.Flush(context.WithoutCancel(ctx)))
		}
		ids = ids[:0]
		for _, r := range list {
			ids = append(ids, r.ID)
		}
		s.Done(queue, ids...)
		n += len(ids)
	}
}

// CompactSpool writes the spool of the store in dir anew without the space that is
// free, and says how many bytes the file had and has. Nobody may have it open.
func CompactSpool(dir string) (before, after int64, err error) {
	f, err := openOffline(dir)
	if err != nil {
		return 0, 0, err
	}
	before = f.size()
	path := f.path + ".compact"
	defer os.Remove(path) // if it still has that name
	if err := f.explain(f.guard(func() error { return compact(f.bolt, path) })); err != nil {
		if isDamage(err) {
			f.abandon() // bbolt may hold its locks
		} else {
			f.guard(f.bolt.Close)
		}
		return before, before, leftDamaged(err)
	}
	// The lock is held until the name is another file's.
	err = errors.Join(os.Rename(path, f.path), syncDir(dir))
	after = f.size()
	return before, after, errors.Join(err, f.explain(f.guard(f.bolt.Close)))
}

func compact(from *bbolt.DB, path string) error {
	const together = 16 << 20 // bytes of a transaction
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := likeness(from.Path(), path); err != nil {
		return err
	}
	to, err := bbolt.Open(path, 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return err
	}
	to.AllocSize = 1 << 20 // bytes by which it grows
	return errors.Join(bbolt.Compact(to, from, together), to.Close())
}

// likeness makes an empty file at path that belongs to whom that at like belongs:
// it may be root who compacts.
func likeness(like, path string) error {
	info, err := os.Stat(like)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok {
		err = f.Chown(int(owner.Uid), int(owner.Gid))
	}
	return errors.Join(err, f.Chmod(info.Mode().Perm()), f.Close())
}

// syncDir makes durable that a file has another name.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
