package bridge

import (
	"sync"
	"sync/atomic"
	"time"
)

// badTokenEntries is the default bound of one app's badTokens: some 20 MB.
const badTokenEntries = 100_000

// device names a device to APNs. The token is borrowed.
type device struct {
	environment Environment
	topic       string
	token       []byte
}

// badTokens is what one app remembers of the tokens that APNs has refused, so
// that it need not ask again for each notification of a provider that goes on
// sending to them. Only BadDeviceToken and DeviceTokenNotForTopic belong here:
// a device that is gone may come back at any moment.
//
// It is safe for concurrent use. Next to nothing is spent on it while it is
// empty, and it never allocates to answer.
type badTokens struct {
	entries atomic.Int64 // list.len()

	mu   sync.RWMutex
	list *badTokenList
}

// newBadTokens makes an empty one: a token is listed for life after its first
// refusal and for repeated after the next.
func newBadTokens(life, repeated time.Duration, limit int) *badTokens {
	return &badTokens{list: newBadTokenList(life, repeated, limit)}
}

// listed reports whether d is to be refused without asking APNs, as of when, and why:
// the time at which the push was sent that APNs refused, and its word.
func (c *badTokens) listed(d device, now time.Time) (refused time.Time, why string, ok bool) {
	if c.entries.Load() == 0 {
		return time.Time{}, "", false // as it is most of the time
	}
	c.mu.RLock()
	refused, why, ok = c.list.listed(d, now)
	c.mu.RUnlock()
	return refused, why, ok
}

// refused takes APNs' verdict on a push to d that was sent at sent, in its word. What
// was answered from the list must not come here.
func (c *badTokens) refused(d device, sent time.Time, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list.refused(d, sent, why)
	c.entries.Store(int64(c.list.len()))
}

// accepted ends what is remembered of d: APNs has taken a push to it.
func (c *badTokens) accepted(d device) {
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

// flush forgets everything, and does not listen to verdicts on what was sent
// until now: they were given to another configuration.
func (c *badTokens) flush(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list.flush(now)
	c.entries.Store(0)
}

// figures are for Stats: how many tokens are listed now, and how many were given up for
// want of room.
func (c *badTokens) figures(now time.Time) (listed int, evicted uint64) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.list.count(now), c.list.evicted
}

// badTokenList is badTokens without lock. It dates everything by when the
// refused push was sent.
//
// A token that has been on the list is remembered for twice the longer life, an
// hour by default, since its last refusal. One more refusal in that time is the
// second one: by then APNs has been asked again, for the list was over.
type badTokenList struct {
	life, repeated time.Duration
	limit          int
	entries        map[deviceKey]*badTokenEntry
	ends           badTokenEntry // of the ring of entries: newer is the oldest, older the newest
	flushed        time.Time
	evicted        uint64
}

// deviceKey is a device as the key of a map. No hash stands for it: a good
// token must never be taken for a bad one.
type deviceKey struct {
	environment  Environment
	topic, token string
}

type badTokenEntry struct {
	key          deviceKey
	sent         time.Time // the push last refused
	why          string    // APNs' word
	again        bool      // it was not the first
	older, newer *badTokenEntry
}

func newBadTokenList(life, repeated time.Duration, limit int) *badTokenList {
	l := &badTokenList{life: life, repeated: repeated, limit: limit}
	l.empty()
	return l
}

func (l *badTokenList) empty() {
	l.entries = make(map[deviceKey]*badTokenEntry)
	l.ends.older, l.ends.newer = &l.ends, &l.ends
}

func (l *badTokenList) len() int { return len(l.entries) }

// find makes its key in place: so the compiler need not copy the token.
func (l *badTokenList) find(d device) *badTokenEntry {
	return l.entries[deviceKey{d.environment, d.topic, string(d.token)}]
}

func (l *badTokenList) listed(d device, now time.Time) (refused time.Time, why string, ok bool) {
	e := l.find(d)
	if e == nil || !l.lists(e, now) {
		return time.Time{}, "", false
	}
	return e.sent, e.why, true
}

func (l *badTokenList) lists(e *badTokenEntry, now time.Time) bool {
	life := l.life
	if e.again {
		life = l.repeated
	}
	return now.Sub(e.sent) < life
}

func (l *badTokenList) remembers(e *badTokenEntry, now time.Time) bool {
	return now.Sub(e.sent) < 2*l.repeated
}

func (l *badTokenList) refused(d device, sent time.Time, why string) {
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
		e = &badTokenEntry{key: deviceKey{d.environment, d.topic, string(d.token)}}
		l.entries[e.key] = e
	}
	e.sent, e.why = sent, why
	e.older, e.newer = l.ends.older, &l.ends
	e.older.newer, l.ends.older = e, e
}

func (l *badTokenList) accepted(d device) {
	if e := l.find(d); e != nil {
		l.remove(e)
	}
}

func (l *badTokenList) flush(now time.Time) {
	l.empty()
	l.flushed = now
}

func (l *badTokenList) count(now time.Time) (n int) {
	for e := l.ends.newer; e != &l.ends; e = e.newer {
		if l.lists(e, now) {
			n++
		}
	}
	return n
}

func (l *badTokenList) remove(e *badTokenEntry) {
	delete(l.entries, e.key)
	e.unlink()
}

func (e *badTokenEntry) unlink() { e.older.newer, e.newer.older = e.newer, e.older }
