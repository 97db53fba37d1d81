package bridge

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/bridge/conversation"
	"apnsbridge/bridge/lane"
	"apnsbridge/pace"
)

// Tombstones is the memory of what was put into the spool lately, as the bridge needs
// it: boltstore's. It may be used from several goroutines.
type Tombstones interface {
	Add(keys ...uint64) error
	Withdraw(key uint64) error
	Load() (map[uint64]int, error)
	Tidy() error
	Clear() error
}

// tombstones recognise, after a crash, what the run before had put into the spool: a
// provider whose connection broke may send all of it again, and it has been delivered or
// will be. A frame is such a resend if its client, identifier and bytes are the same.
// One whose identifier is that of the client's frame before it names no one frame, and
// has no tombstone.
type tombstones struct {
	store Tombstones // nil: nothing is recognised
	fault *pace.Fault

	tidied time.Time // of the clock alone

	active atomic.Bool // something is left, and until has not come
	until  time.Time
	loaded chan struct{} // closed when left is there

	mu   sync.Mutex
	left map[uint64]int // of the run before, and how often each may come again
}

// newTombstones begins to read what the run before has left, if it ended in a crash. It
// is recognised for life.
func newTombstones(s Tombstones, life time.Duration, now time.Time, log zerolog.Logger) *tombstones {
	t := &tombstones{store: s, until: now.Add(life), tidied: now, loaded: make(chan struct{}),
		fault: pace.NewFault(log, time.Now, "it cannot be written down what is in the spool: after a crash resends of it would arrive twice",
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

// tombstoneKey is a notification's. 64 bits of a million of them take one frame in ten
// million millions for another.
func tombstoneKey(n *notification) uint64 {
	b := append(make([]byte, 0, 1024), n.session.app.name...)
	b = append(append(b, 0), n.session.origin.Client...)
	b = binary.BigEndian.AppendUint32(append(b, 0), n.identifier)
	b = binary.BigEndian.AppendUint16(b, uint16(len(n.Token())))
	sum := sha256.Sum256(append(b, n.bytes...))
	return binary.BigEndian.Uint64(sum[:])
}

// took reports whether n is a resend of what the run before had put into the spool. It
// counts as one resend of it.
func (t *tombstones) took(n *notification) bool {
	if !t.active.Load() || !n.named {
		return false
	}
	<-t.loaded
	key := tombstoneKey(n)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.left[key] == 0 {
		return false
	}
	t.left[key]--
	return true
}

// add notes what was put into the spool for the first time. Nobody else may change what
// is in batch.
func (t *tombstones) add(batch []*lane.Item) {
	if t.store == nil {
		return
	}
	var keys []uint64
	for _, it := range batch {
		if n := of(it); it.ID == 0 && n.session != nil && n.named {
			keys = append(keys, tombstoneKey(n))
		}
	}
	if len(keys) > 0 {
		t.fault.Met(t.store.Add(keys...))
	}
}

// withdraw notes, before n's provider is told, that n was not delivered: should the
// provider never read it, n is to be tried again.
func (t *tombstones) withdraw(n *notification) {
	if t.store == nil || n.session == nil || !n.named {
		return
	}
	n.lane.mu.Lock()
	stored := n.ID != 0
	n.lane.mu.Unlock()
	if stored {
		n.named = false
		t.fault.Met(t.store.Withdraw(tombstoneKey(n)))
	}
}

// came says how the way of n has ended.
func (t *tombstones) came(n *notification, o conversation.Outcome) {
	if o == conversation.Expired || o == conversation.Dropped {
		t.withdraw(n)
	}
}

// tidyInterval is how often it is asked whether there are tombstones of no use.
const tidyInterval = 10 * time.Second

// tick forgets what is too old.
func (t *tombstones) tick(now time.Time) {
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

// clear forgets all at an end in order: what providers may send again is in the ledger.
func (t *tombstones) clear() {
	if t.store != nil {
		<-t.loaded
		t.fault.Met(t.store.Clear())
	}
}
