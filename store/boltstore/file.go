package boltstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"apnsbridge/store"
)

// lockWait is how long Open waits for another process to let go of the file,
// as one that is ending does.
const lockWait = time.Second

// maxShared bounds how many changes share a transaction.
const maxShared = 1024

// file is one bbolt file with one writer. Whatever is asked to be written
// during a commit shares the next one, so that a slow disk makes larger
// transactions and not a queue of small ones.
type file struct {
	path   string
	leave  bool     // if it is damaged, under its name
	opened *os.File // bbolt's own
	bolt   *bbolt.DB
	now    func() time.Time
	queue  chan change
	quit   chan struct{} // closed by close
	ended  chan struct{} // closed when the writer has ended
	broken error         // the writer's: bbolt has panicked, nothing can be written any more

	failing         failing
	closing         sync.Once
	writes, commits atomic.Uint64
}

// ErrInUse says that another process has a file open.
var ErrInUse = errors.New("in use by another process")

// change is one caller's work on a transaction.
type change struct {
	apply func(*bbolt.Tx) error
	undo  func() // of what apply has done to memory, if the transaction fails
	done  chan error
}

// openFile opens the file at path without starting its writer. One that is
// damaged has been set aside when it returns, unless it is to be left.
func openFile(path string, now func() time.Time, leave bool) (*file, error) {
	f := &file{path: path, leave: leave, now: now, queue: make(chan change), quit: make(chan struct{}), ended: make(chan struct{})}
	open := func(name string, flag int, mode os.FileMode) (_ *os.File, err error) {
		if f.opened, err = openLocked(name, flag, mode); err != nil {
			return nil, err
		}
		info, err := f.opened.Stat()
		if err != nil {
			return nil, err
		}
		if err := inspect(f.opened, info.Size()); err != nil {
			return nil, err // and not the file, which bbolt would close and so unlock
		}
		return f.opened, nil
	}
	err := f.guard(func() (err error) {
		f.bolt, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockWait, FreelistType: bbolt.FreelistMapType, OpenFile: open})
		return err
	})
	switch {
	case err == nil:
		return f, nil
	case errors.Is(err, bbolterrors.ErrTimeout):
		return nil, fmt.Errorf("%s is %w: stop that one, or give this one its own store.path", path, ErrInUse)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EISDIR), errors.Is(err, syscall.EROFS):
		return nil, unwritable(path, err)
	case errors.Is(err, bbolterrors.ErrInvalid), errors.Is(err, bbolterrors.ErrChecksum):
		err = damage("%v", err)
	}
	return nil, f.refuse(f.explain(err))
}

// refuse lets go of the file that gave err, and sets it aside if it is damaged.
func (f *file) refuse(err error) error {
	if isDamage(err) && !f.leave {
		return f.setAside(err, f.now())
	}
	f.abandon()
	return err
}

// prepare runs the steps of opening on one transaction.
func (f *file) prepare(steps ...func(*bbolt.Tx) error) error {
	return f.explain(f.guard(func() error {
		return f.bolt.Update(func(tx *bbolt.Tx) error {
			for _, step := range steps {
				if err := step(tx); err != nil {
					return err
				}
			}
			return nil
		})
	}))
}

// view runs fn on what is in the file now.
func (f *file) view(ctx context.Context, fn func(*bbolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return f.explain(f.guard(func() error { return f.bolt.View(fn) }))
}

// update has fn run by the writer and returns when its transaction is
// committed, or has failed together with all that share it; then undo is called.
// Both may use their caller's memory. ctx ends the waiting for the writer, not
// the writing.
func (f *file) update(ctx context.Context, fn func(*bbolt.Tx) error, undo func()) error {
	c := change{apply: fn, undo: undo, done: make(chan error, 1)}
	select {
	case f.queue <- c:
		return <-c.done
	case <-f.quit:
		return store.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// write is the writer.
func (f *file) write() {
	defer close(f.ended)
	var probe <-chan time.Time // while writing fails
	for {
		switch failing := f.broken == nil && f.failing.is() != nil; {
		case !failing:
			probe = nil
		case probe == nil:
			probe = time.After(probeWait)
		}
		select {
		case c := <-f.queue:
			f.commit(f.share(c))
		case <-probe:
			f.probe()
			probe = nil
		case <-f.quit:
			return
		}
	}
}

// share takes the changes that have been waiting beside first.
func (f *file) share(first change) []change {
	changes := []change{first}
	for len(changes) < maxShared {
		select {
		case c := <-f.queue:
			changes = append(changes, c)
		default:
			return changes
		}
	}
	return changes
}

func (f *file) commit(changes []change) {
	size, err := f.transact(func(tx *bbolt.Tx) error {
		for _, c := range changes {
			if err := c.apply(tx); err != nil {
				return err
			}
		}
		tx.OnCommit(func() {
			f.commits.Add(1)
			f.writes.Add(uint64(len(changes)))
		})
		return nil
	})
	f.failing.note(err, size, f.now())
	if err != nil {
		for _, c := range slices.Backward(changes) {
			c.undo()
		}
	}
	for _, c := range changes {
		c.done <- err
	}
}

// transact changes the file. size is what it wrote or could not write, in bytes
// of pages.
func (f *file) transact(fn func(*bbolt.Tx) error) (size int64, err error) {
	if f.broken != nil {
		return 0, f.broken
	}
	var stats bbolt.TxStats
	err = f.explain(f.guard(func() error {
		var tx *bbolt.Tx
		err := f.bolt.Update(func(t *bbolt.Tx) error {
			tx = t
			return fn(t)
		})
		if tx != nil {
			stats = tx.Stats()
		}
		return err
	}))
	if isDamage(err) {
		f.broken = fmt.Errorf("%w: start the program again to have the file set aside", err) // bbolt may hold its locks
		err = f.broken
	}
	return stats.GetPageAlloc(), err
}

// size is that of the file in bytes.
func (f *file) size() int64 {
	info, err := os.Stat(f.path)
	if err != nil {
		return 0
	}
	return info.Size()
}

func (f *file) close() error {
	err := store.ErrClosed
	f.closing.Do(func() {
		close(f.quit)
		<-f.ended
		if err = f.broken; err != nil {
			f.abandon()
			return
		}
		err = f.explain(f.guard(f.bolt.Close))
	})
	return err
}

// abandon lets go of the file where bbolt cannot any more. The mapping stays,
// and would keep the lock.
func (f *file) abandon() {
	if f.opened == nil {
		return
	}
	unlock(f.opened)
	f.opened.Close()
}

// guard runs fn, which reads mapped pages. bbolt trusts them: a bad one makes
// it panic, or touch memory that is not there.
func (f *file) guard(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if cause := recover(); cause != nil {
			err = damage("%v", cause)
		}
	}()
	return fn()
}

// explain makes of an error of bbolt one that names the file.
func (f *file) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, bbolterrors.ErrDatabaseNotOpen):
		return store.ErrClosed
	case isDamage(err):
		return fmt.Errorf("%s is damaged: %w", f.path, err)
	}
	return fmt.Errorf("%s: %w", f.path, err)
}

// damaged says what in a file cannot be.
type damaged struct{ what string }

func (d *damaged) Error() string { return d.what }

func isDamage(err error) bool {
	var d *damaged
	return errors.As(err, &d)
}

func damage(format string, args ...any) error {
	return &damaged{fmt.Sprintf(format, args...)}
}

func u32(b []byte) uint32                 { return binary.BigEndian.Uint32(b) }
func u64(b []byte) uint64                 { return binary.BigEndian.Uint64(b) }
func appendU32(b []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(b, v) }
func appendU64(b []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(b, v) }
func millis(t time.Time) uint64           { return uint64(max(0, t.UnixMilli())) }
func fromMillis(v uint64) time.Time       { return time.UnixMilli(int64(v)).UTC() }
