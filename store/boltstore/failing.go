package boltstore

import (
	"errors"
	"sync"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
)

const (
	probeWait = time.Second // between two attempts to write, while that fails
	probeMax  = 16 << 20    // bytes of such an attempt
)

// failing reports whether the file can be written. Small changes find room in a
// file when larger ones do not: so it is well again only when as much has been
// written as what failed, if need be by an attempt of our own.
type failing struct {
	mu       sync.Mutex
	since    time.Time // zero: it can be written
	why      error
	needs    int64 // bytes of pages
	failures uint64
}

// note takes what came of writing size bytes of pages.
func (f *failing) note(err error, size int64, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err != nil:
		f.failures++
		f.why, f.needs = err, max(f.needs, min(size, probeMax))
		if f.since.IsZero() {
			f.since = now
		}
	case size >= f.needs:
		f.since, f.why, f.needs = time.Time{}, nil, 0
	}
}

// is says why the file cannot be written; nil if it can.
func (f *failing) is() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.why
}

// room is how many bytes must be written to know that it is well again.
func (f *failing) room() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.needs
}

func (f *failing) figures(now time.Time) (lasting time.Duration, failures uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.since.IsZero() {
		lasting = max(now.Sub(f.since), 1)
	}
	return lasting, f.failures
}

// Failing says why the store cannot be written, in words for the operator; nil
// if it can. A store that is full, or was made read-only, comes back by itself.
func (s *Store) Failing() error {
	if err := s.file.failing.words(); err != nil {
		return err
	}
	return s.spool.Failing()
}

// words say it for the operator.
func (f *failing) words() error {
	why := f.is()
	var errno syscall.Errno
	if errors.As(why, &errno) {
		return errno
	}
	return why
}

// probe writes as much as what failed, and takes it away again.
func (f *file) probe() {
	key := []byte("probe")
	size, err := f.transact(func(tx *bbolt.Tx) error {
		return tx.Bucket(metaBucket).Put(key, make([]byte, f.failing.room()))
	})
	if err == nil {
		_, err = f.transact(func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Delete(key) })
	}
	if err != nil {
		size = 0 // what it needs is not what is needed
	}
	f.failing.note(err, size, f.now())
}
