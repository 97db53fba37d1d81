package boltfile

import (
	"errors"
	"sync"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
)

const (
	ProbeWait = time.Second // between two attempts to write, while that fails
	probeMax  = 16 << 20    // bytes of such an attempt
)

// Failing is why a file cannot be written, if it cannot. Small changes find room in a
// file when larger ones do not: so it is well again only when as much has been
// written as what failed, if need be by an attempt of our own.
type Failing struct {
	mu       sync.Mutex
	since    time.Time // zero: it can be written
	why      error
	needs    int64 // bytes of pages
	failures uint64
}

// Note takes what came of writing size bytes of pages.
func (f *Failing) Note(err error, size int64, now time.Time) {
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

// Err says why the file cannot be written; nil if it can.
func (f *Failing) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.why
}

// Needs is how many bytes must be written to know that it is well again.
func (f *Failing) Needs() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.needs
}

// Figures are for how long it could not be written, and how often that was tried.
func (f *Failing) Figures(now time.Time) (lasting time.Duration, failures uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.since.IsZero() {
		lasting = max(now.Sub(f.since), 1)
	}
	return lasting, f.failures
}

// Words say it for the operator.
func (f *Failing) Words() error {
	why := f.Err()
	var errno syscall.Errno
	if errors.As(why, &errno) {
		return errno
	}
	return why
}

// probe writes as much as what failed, and takes it away again.
func (f *File) probe() {
	key := []byte("probe")
	size, err := f.transact(func(tx *bbolt.Tx) error {
		return tx.Bucket(MetaBucket).Put(key, make([]byte, f.Failing.Needs()))
	})
	if err == nil {
		_, err = f.transact(func(tx *bbolt.Tx) error { return tx.Bucket(MetaBucket).Delete(key) })
	}
	if err != nil {
		size = 0 // what it needs is not what is needed
	}
	f.Failing.Note(err, size, f.now())
}
