package bridge

import (
	"sync"
	"sync/atomic"
	"time"
)

// hold is an app's guard with what it holds back, for all goroutines. While the
// app is well, a notification costs two loads of an atomic.
//
// A record that it keeps is its own, until it gives it out: another goroutine
// may have sent it on before the method has returned.
type hold struct {
	on    atomic.Bool  // guard.holding
	quiet atomic.Int64 // guard.quiet, in nanoseconds since 1970

	mu    sync.Mutex
	guard guard
	held  heldRecords
	probe *record // may go once though the app is on hold
}

// publish lets those see the state of the guard that do not take the lock.
// h.mu is held.
func (h *hold) publish() {
	h.on.Store(h.guard.holding)
	quiet := int64(0)
	if q := h.guard.quiet(); !q.IsZero() {
		quiet = q.UnixNano()
	}
	h.quiet.Store(quiet)
}

// keeps says whether r, for which an attempt was about to begin, is held back.
func (h *hold) keeps(r *record) bool {
	if !h.on.Load() {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case !h.guard.holding:
		return false
	case r == h.probe:
		h.probe = nil
		return false
	}
	h.held.add(r)
	return true
}

// refused takes APNs' verdict that the token of r is bad. If the ruling is hold,
// r is to be asked about again: if keep is set it is kept.
func (h *hold) refused(r *record, now time.Time, keep bool) ruling {
	h.mu.Lock()
	defer h.mu.Unlock()
	v := h.guard.refused(r.Token(), r.Sent, now)
	if v.hold && keep {
		h.held.add(r)
	}
	h.publish()
	return v
}

// accepted takes APNs' acceptance of a push sent at sent. The records released
// are to be sent, in their order; what is to be saved, if anything, is the new
// state of the guard for after a restart.
func (h *hold) accepted(sent time.Time) (released []*record, save []byte) {
	if sent.UnixNano() < h.quiet.Load() {
		return nil, nil // as it is most of the time
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	release, changed := h.guard.accepted(sent)
	if release {
		released, h.probe = h.held.releaseAll(), nil
	}
	if changed {
		save = h.guard.record()
	}
	h.publish()
	return released, save
}

// recordable is guard.recordable.
func (h *hold) recordable(token []byte, at time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.guard.recordable(token, at)
}

// credentialChanged is guard.credentialChanged.
func (h *hold) credentialChanged(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.guard.credentialChanged(now)
	h.publish()
}

// restore is guard.restore.
func (h *hold) restore(record []byte, now time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.guard.restore(record, now)
}

// take gives the record that is to be sent as a probe, if one is due, and those
// that have expired while they were held. It may be asked often.
func (h *hold) take(now time.Time) (probe *record, expired []*record) {
	if !h.on.Load() {
		return nil, nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	expired = h.held.takeExpired(now)
	if h.guard.probeDue(now) {
		h.guard.probed(now)
		probe = h.held.takeProbe()
		h.probe = probe
	}
	return probe, expired
}

// takeAll takes out what is held back.
func (h *hold) takeAll() []*record {
	if !h.on.Load() {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.probe = nil
	return h.held.releaseAll()
}

// len is how many records are held back.
func (h *hold) len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.held.len()
}
