// Package badtokens remembers which device tokens APNs has refused lately, so that it
// need not be asked again for each notification of a provider that goes on sending to
// them.
package badtokens

import (
	"sync"
	"sync/atomic"
	"time"
)

// Device names a device to APNs. The token is borrowed.
type Device struct {
	Environment uint8 // one of APNs' two
	Topic       string
	Token       []byte
}

// List is what one app remembers. Only BadDeviceToken and DeviceTokenNotForTopic
// belong here: a device that is gone may come back at any moment. An entry is some
// 200 bytes.
//
// It is safe for concurrent use. Next to nothing is spent on it while it is
// empty, and it never allocates to answer.
type List struct {
	entries atomic.Int64 // list.len()

	mu   sync.RWMutex
	list *list
}

// New makes an empty one of at most limit entries: a token is listed for life after its first
// refusal and for repeated after the next.
func New(life, repeated time.Duration, limit int) *List {
	return &List{list: newList(life, repeated, limit)}
}

// Listed reports whether d is to be refused without asking APNs, as of when, and why:
// the time at which the push was sent that APNs refused, and its word.
func (c *List) Listed(d Device, now time.Time) (refused time.Time, why string, ok bool) {
	if c.entries.Load() == 0 {
		return time.Time{}, "", false // as it is most of the time
	}
	c.mu.RLock()
	refused, why, ok = c.list.listed(d, now)
	c.mu.RUnlock()
	return refused, why, ok
}

// Refused takes APNs' verdict on a push to d that was sent at sent, in its word. What
// was answered from the list must not come here.
func (c *List) Refused(d Device, sent time.Time, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list.refused(d, sent, why)
	c.entries.Store(int64(c.list.len()))
}

// Accepted ends what is remembered of d: APNs has taken a push to it.
func (c *List) Accepted(d Device) {
	if c.entries.Load() == 0 {
		return
	}
	c.mu.RLock()
	known := c.list.find(d) != nil
	c.mu.RUnlock()
	if !known {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list.accepted(d)
	c.entries.Store(int64(c.list.len()))
}

// Flush forgets everything, and does not listen to verdicts on what was sent
// until now: they were given to another configuration.
func (c *List) Flush(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list.flush(now)
	c.entries.Store(0)
}

// Figures are for Stats: how many tokens are listed now, and how many were given up for
// want of room.
func (c *List) Figures(now time.Time) (listed int, evicted uint64) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.list.count(now), c.list.evicted
}

// list is List without lock. It dates everything by when the
// refused push was sent.
//
// A token that has been on the list is remembered for twice the longer life, an
// hour by default, since its last refusal. One more refusal in that time is the
// second one: by then APNs has been asked again, for the list was over.
type list struct {
	life, repeated time.Duration
	limit          int
	entries        map[deviceKey]*entry
	ends           entry // of the ring of entries: newer is the oldest, older the newest
	flushed        time.Time
	evicted        uint64
}

// deviceKey is a device as the key of a map. No hash stands for it: a good
// token must never be taken for a bad one.
type deviceKey struct {
	environment  uint8
	topic, token string
}

type entry struct {
	key          deviceKey
	sent         time.Time // the push last refused
	why          string    // APNs' word
	again        bool      // it was not the first
	older, newer *entry
}

func newList(life, repeated time.Duration, limit int) *list {
	l := &list{life: life, repeated: repeated, limit: limit}
	l.empty()
	return l
}

func (l *list) empty() {
	l.entries = make(map[deviceKey]*entry)
	l.ends.older, l.ends.newer = &l.ends, &l.ends
}

func (l *list) len() int { return len(l.entries) }

// find makes its key in place: so the compiler need not copy the token.
func (l *list) find(d Device) *entry {
	return l.entries[deviceKey{d.Environment, d.Topic, string(d.Token)}]
}

func (l *list) listed(d Device, now time.Time) (refused time.Time, why string, ok bool) {
	e := l.find(d)
	if e == nil || !l.lists(e, now) {
		return time.Time{}, "", false
	}
	return e.sent, e.why, true
}

func (l *list) lists(e *entry, now time.Time) bool {
	life := l.life
	if e.again {
		life = l.repeated
	}
	return now.Sub(e.sent) < life
}

func (l *list) remembers(e *entry, now time.Time) bool {
	return now.Sub(e.sent) < 2*l.repeated
}

func (l *list) refused(d Device, sent time.Time, why string) {
	if !sent.After(l.flushed) {
		return
	}
	for e := l.ends.newer; e != &l.ends && !l.remembers(e, sent); e = l.ends.newer {
		l.remove(e)
	}
	e := l.find(d)
	switch {
	case e != nil:
		e.again = l.remembers(e, sent)
		e.unlink()
	case len(l.entries) >= l.limit:
		l.remove(l.ends.newer)
		l.evicted++
		fallthrough
	default:
		e = &entry{key: deviceKey{d.Environment, d.Topic, string(d.Token)}}
		l.entries[e.key] = e
	}
	e.sent, e.why = sent, why
	e.older, e.newer = l.ends.older, &l.ends
	e.older.newer, l.ends.older = e, e
}

func (l *list) accepted(d Device) {
	if e := l.find(d); e != nil {
		l.remove(e)
	}
}

func (l *list) flush(now time.Time) {
	l.empty()
	l.flushed = now
}

func (l *list) count(now time.Time) (n int) {
	for e := l.ends.newer; e != &l.ends; e = e.newer {
		if l.lists(e, now) {
			n++
		}
	}
	return n
}

func (l *list) remove(e *entry) {
	delete(l.entries, e.key)
	e.unlink()
}

func (e *entry) unlink() { e.older.newer, e.newer.older = e.newer, e.older }
