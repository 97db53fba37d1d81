// Package tombstones recognises after a crash what the run before had put into the spool: a
// provider whose connection broke may send all of it again, and it has been delivered or
// will be. It knows notifications by their keys.
package tombstones

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/bridge/pace"
)

// Store is the memory of what was put into the spool lately: boltstore's. It may be used
// from several goroutines.
type Store interface {
	Add(keys ...uint64) error
	Withdraw(key uint64) error
	Load() (map[uint64]int, error)
	Tidy() error
	Clear() error
}

// Tombstones are those of a process. They are safe for concurrent use but for Tick.
type Tombstones struct {
	store Store // nil: nothing is recognised
	fault *pace.Fault

	tidied time.Time // of the clock alone

	active atomic.Bool // something is left, and until has not come
	until  time.Time
	loaded chan struct{} // closed when left is there

	mu   sync.Mutex
	left map[uint64]int // of the run before, and how often each may come again
}

// New begins to read what the run before has left, if it ended in a crash. It is
// recognised for life. With nil nothing is, now or later.
func New(s Store, life time.Duration, now time.Time, log zerolog.Logger) *Tombstones {
	t := &Tombstones{store: s, until: now.Add(life), tidied: now, loaded: make(chan struct{}),
		fault: pace.NewFault(log, time.Now,
			"it cannot be written down what is in the spool: after a crash resends of it would arrive twice",
			"what is in the spool can be written down again")}
	if s == nil {
		return t
	}
	t.active.Store(true)
	go func() {
		defer close(t.loaded)
		left, err := s.Load()
		t.fault.Met(err)
		t.left = left
		t.active.Store(len(left) > 0)
	}()
	return t
}

// Key is that of a frame of a client of an app: a frame is a resend of another if its client,
// identifier and bytes are the same. 64 bits of a million of them take one frame in ten
// million millions for another.
func Key(app, client string, identifier uint32, token, payload []byte) uint64 {
	b := append(make([]byte, 0, 1024), app...)
	b = append(append(b, 0), client...)
	b = binary.BigEndian.AppendUint32(append(b, 0), identifier)
	b = binary.BigEndian.AppendUint16(b, uint16(len(token)))
	sum := sha256.Sum256(append(append(b, token...), payload...))
	return binary.BigEndian.Uint64(sum[:])
}

// Active reports whether anything of the run before may still come again.
func (t *Tombstones) Active() bool { return t.active.Load() }

// Took reports whether key is that of a resend of what the run before had put into the
// spool. It counts as one resend of it.
func (t *Tombstones) Took(key uint64) bool {
	if !t.Active() {
		return false
	}
	<-t.loaded
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.left[key] == 0 {
		return false
	}
	t.left[key]--
	return true
}

// Written reports whether what is put into the spool is noted.
func (t *Tombstones) Written() bool { return t.store != nil }

// Add notes what was put into the spool for the first time.
func (t *Tombstones) Add(keys ...uint64) {
	if len(keys) > 0 {
		t.fault.Met(t.store.Add(keys...))
	}
}

// Withdraw notes, before its provider is told, that one was not delivered: should the
// provider never read it, it is to be tried again.
func (t *Tombstones) Withdraw(key uint64) { t.fault.Met(t.store.Withdraw(key)) }

// tidyInterval is how often it is asked whether there are tombstones of no use.
const tidyInterval = 10 * time.Second

// Tick forgets what is too old.
func (t *Tombstones) Tick(now time.Time) {
	if t.store == nil || now.Sub(t.tidied) < tidyInterval {
		return
	}
	t.tidied = now
	if t.active.Load() && !now.Before(t.until) {
		<-t.loaded
		t.mu.Lock()
		t.left = nil
		t.mu.Unlock()
		t.active.Store(false)
	}
	t.fault.Met(t.store.Tidy())
}

// End forgets at an end in order what this run has put: what providers may send again is
// in the ledger. What is left of a run that crashed before is kept, and recognised for
// life once more.
func (t *Tombstones) End() {
	if t.store == nil {
		return
	}
	<-t.loaded
	t.fault.Met(t.store.Clear())
	t.mu.Lock()
	defer t.mu.Unlock()
	var keys []uint64
	for key, n := range t.left {
		for range n {
			keys = append(keys, key)
		}
	}
	t.Add(keys...)
}
