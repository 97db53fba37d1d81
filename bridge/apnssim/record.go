package apnssim

import (
	"hash/maphash"
	"sync"
)

// Push is a request that got a verdict, whether or not its answer arrived.
type Push struct {
	Seq        int    `json:"seq"`        // from 1, in the order of the verdicts
	Connection int    `json:"connection"` // from 1, in the order of the handshakes
	Token      string `json:"token"`      // hex, as sent
	Topic      string `json:"topic"`
	PushType   string `json:"push_type"`
	Priority   int    `json:"priority"`   // 0: there was no header
	Expiration *int64 `json:"expiration"` // epoch seconds; nil: there was no header
	APNSID     string `json:"apns_id"`    // as sent, or made here
	Payload    []byte `json:"payload"`    // belongs to the record; JSON has it in base64
	Status     int    `json:"status"`
	Reason     string `json:"reason"`
}

// Received is what the simulator remembers of the pushes.
type Received struct {
	Pushes     []Push `json:"pushes"`
	Duplicates int    `json:"duplicates"` // pushes accepted before with the same topic, token and payload
}

// record keeps the latest pushes and counts them all.
type record struct {
	mu        sync.Mutex
	seq       int
	accepted  int
	rejected  int
	doubled   int
	forgotten int
	pages     []*page // oldest first; none if nothing is kept
	maxPages  int
	seen      seen
	notice    chan struct{} // closed at the next change; nil: none waits
}

// page holds pushes and what they point to, so that keeping one costs no
// allocation of its own.
type page struct {
	pushes      []Push
	expirations [pageSize]int64
	room        []byte
}

const (
	pageSize = 1024
	roomSize = 256 << 10 // bytes of payload for which a page makes room at once
)

func (r *record) init(keep, remember int) {
	if keep == 0 {
		keep = 2_000_000
	}
	r.maxPages = (max(keep, 0) + pageSize - 1) / pageSize
	r.seen.init(remember)
}

// add takes a push, whose Seq it sets and whose payload it copies. expiration
// counts only if there is one.
func (r *record) add(p Push, expiration int64, hasExpiration bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seq++
	p.Seq = r.seq
	if p.Status == 200 {
		r.accepted++
		if r.seen.before(p.Topic, p.Token, p.Payload) {
			r.doubled++
		}
	} else {
		r.rejected++
	}
	if r.maxPages > 0 {
		r.keep(p, expiration, hasExpiration)
	}
	r.signal()
}

func (r *record) keep(p Push, expiration int64, hasExpiration bool) {
	last := len(r.pages) - 1
	if last < 0 || len(r.pages[last].pushes) == pageSize {
		if len(r.pages) == r.maxPages {
			r.forgotten += len(r.pages[0].pushes)
			r.pages[0] = nil
			r.pages = r.pages[1:]
		}
		r.pages = append(r.pages, &page{pushes: make([]Push, 0, pageSize)})
		last = len(r.pages) - 1
	}
	pg := r.pages[last]
	if hasExpiration {
		at := len(pg.pushes)
		pg.expirations[at] = expiration
		p.Expiration = &pg.expirations[at]
	}
	p.Payload = pg.copy(p.Payload)
	pg.pushes = append(pg.pushes, p)
}

// copy gives a copy of b that lives as long as the page's pushes.
func (pg *page) copy(b []byte) []byte {
	if cap(pg.room)-len(pg.room) < len(b) {
		pg.room = make([]byte, 0, max(roomSize, len(b)))
	}
	from := len(pg.room)
	pg.room = append(pg.room, b...)
	return pg.room[from:len(pg.room):len(pg.room)]
}

func (r *record) received(since int) Received {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := Received{Pushes: []Push{}, Duplicates: r.doubled}
	for _, pg := range r.pages {
		if pg.pushes[len(pg.pushes)-1].Seq <= since {
			continue
		}
		first := max(since-pg.pushes[0].Seq+1, 0)
		all.Pushes = append(all.Pushes, pg.pushes[first:]...)
	}
	return all
}

func (r *record) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.accepted, r.rejected, r.doubled, r.forgotten = 0, 0, 0, 0
	r.pages = nil
	r.seen.init(r.seen.limit)
	r.signal()
}

func (r *record) stats(s *Stats) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Received, s.Accepted, s.Rejected = r.accepted+r.rejected, r.accepted, r.rejected
	s.Duplicates, s.Forgotten = r.doubled, r.forgotten
	for _, pg := range r.pages {
		s.Kept += len(pg.pushes)
	}
}

// changed gives a channel that is closed at the next change of Stats.
func (r *record) changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.notice == nil {
		r.notice = make(chan struct{})
	}
	return r.notice
}

// touch tells those who wait that something outside the record has changed.
func (r *record) touch() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.signal()
}

func (r *record) signal() {
	if r.notice != nil {
		close(r.notice)
		r.notice = nil
	}
}

// seen is a bounded memory of hashes in two generations: when the young one is
// full the old one is forgotten. Among ten million pushes two different ones
// share a hash with a probability of about 3 in a million.
type seen struct {
	seed       maphash.Seed
	limit      int
	young, old map[uint64]struct{}
}

func (s *seen) init(limit int) {
	*s = seen{seed: maphash.MakeSeed(), limit: limit, young: make(map[uint64]struct{})}
}

// before reports whether the push was seen before, and remembers it.
func (s *seen) before(topic, token string, payload []byte) bool {
	var h maphash.Hash
	h.SetSeed(s.seed)
	h.WriteString(topic)
	h.WriteByte(0)
	h.WriteString(token)
	h.WriteByte(0)
	h.Write(payload)
	sum := h.Sum64()
	if _, found := s.young[sum]; found {
		return true
	}
	_, found := s.old[sum]
	if len(s.young) >= (s.limit+1)/2 {
		s.old, s.young = s.young, make(map[uint64]struct{})
	}
	s.young[sum] = struct{}{}
	return found
}
