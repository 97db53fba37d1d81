// Package boltfile is a bbolt file with one writer, which is looked at before bbolt trusts
// it, and set aside if it is damaged.
package boltfile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
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

// File is one bbolt file with one writer. Whatever is asked to be written
// during a commit shares the next one, so that a slow disk makes larger
// transactions and not a queue of small ones.
type File struct {
	path   string
	leave  bool     // if it is damaged, under its name
	opened *os.File // bbolt's own
	bolt   *bbolt.DB
	now    func() time.Time
	queue  chan change
	quit   chan struct{} // closed by Close
	ended  chan struct{} // closed when the writer has ended
	broken error         // the writer's: bbolt has panicked, nothing can be written any more

	closing sync.Once

	Failing         Failing
	Writes, Commits atomic.Uint64 // changes made, and the transactions they took
}

// ErrInUse says that another process has a file open.
var ErrInUse = errors.New("in use by another process")

// change is one caller's work on a transaction.
type change struct {
	apply func(*bbolt.Tx) error
	undo  func() // of what apply has done to memory, if the transaction fails
	done  chan error
}

// View runs fn on what is in the file now.
func (f *File) View(ctx context.Context, fn func(*bbolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return f.explain(f.guard(func() error { return f.bolt.View(fn) }))
}

// Update has fn run by the writer and returns when its transaction is
// committed, or has failed together with all that share it; then undo is called.
// Both may use their caller's memory. ctx ends the waiting for the writer, not
// the writing.
func (f *File) Update(ctx context.Context, fn func(*bbolt.Tx) error, undo func()) error {
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
func (f *File) write() {
	defer close(f.ended)
	var probe <-chan time.Time // while writing fails
	for {
		switch failing := f.broken == nil && f.Failing.Err() != nil; {
		case !failing:
			probe = nil
		case probe == nil:
			probe = time.After(ProbeWait)
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
func (f *File) share(first change) []change {
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

func (f *File) commit(changes []change) {
	size, err := f.transact(func(tx *bbolt.Tx) error {
		for _, c := range changes {
			if err := c.apply(tx); err != nil {
				return err
			}
		}
		tx.OnCommit(func() {
			f.Commits.Add(1)
			f.Writes.Add(uint64(len(changes)))
		})
		return nil
	})
	f.Failing.Note(err, size, f.now())
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
func (f *File) transact(fn func(*bbolt.Tx) error) (size int64, err error) {
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
	if IsDamage(err) {
		f.broken = fmt.Errorf("%w: start the program again to have the file set aside", err) // bbolt may hold its locks
		err = f.broken
	}
	return stats.GetPageAlloc(), err
}

// Size is that of the file in bytes.
func (f *File) Size() int64 {
	info, err := os.Stat(f.path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// Close ends the writer and closes the file.
func (f *File) Close() error {
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
func (f *File) abandon() {
	if f.opened == nil {
		return
	}
	unlock(f.opened)
	f.opened.Close()
}

// guard runs fn, which reads mapped pages. bbolt trusts them: a bad one makes
// it panic, or touch memory that is not there.
func (f *File) guard(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if cause := recover(); cause != nil {
			err = Damage("%v", cause)
		}
	}()
	return fn()
}

// explain makes of an error of bbolt one that names the file.
func (f *File) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, bbolterrors.ErrDatabaseNotOpen):
		return store.ErrClosed
	case IsDamage(err):
		return fmt.Errorf("%s is damaged: %w", f.path, err)
	}
	return fmt.Errorf("%s: %w", f.path, err)
}
