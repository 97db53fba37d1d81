package gateway

import (
	"slices"
	"time"
)

// handshakeQueue decides whose handshake may run. Each source has its turns in
// the order in which they were asked for, and the source with the fewest running
// comes first. Where there is no place, whoever has been at it longest, of the
// source that has most, has to go, once it has had patience to come to an end: a
// peer that says hello and then nothing would keep its place for nothing.
//
// It has neither lock nor clock.
type handshakeQueue struct {
	max, maxPerSource int
	patience          time.Duration

	asked            uint64 // how often
	running, waiting int
	parties          map[source]*party
}

type party struct {
	running []*turn // longest first
	waiting []*turn // longest first
}

// turn is one handshake.
type turn struct {
	from  source
	place uint64    // among all that have asked
	since time.Time // when it began to run
	begin func()    // called when it may run
	drop  func()    // called when it has to go
}

func newHandshakeQueue(l Limits) *handshakeQueue {
	return &handshakeQueue{
		max:          l.Handshakes,
		maxPerSource: min(l.HandshakesPerAddress, l.Handshakes),
		patience:     min(time.Second, l.HandshakeTimeout/4),
		parties:      make(map[source]*party),
	}
}

// ask puts t behind all that wait.
func (q *handshakeQueue) ask(t *turn) {
	p := q.parties[t.from]
	if p == nil {
		p = new(party)
		q.parties[t.from] = p
	}
	q.asked++
	t.place = q.asked
	p.waiting = append(p.waiting, t)
	q.waiting++
}

// leave takes t out, whether it ran, waited or was gone already.
func (q *handshakeQueue) leave(t *turn) {
	p := q.parties[t.from]
	if p == nil {
		return
	}
	if i := slices.Index(p.running, t); i >= 0 {
		p.running = slices.Delete(p.running, i, i+1)
		q.running--
	} else if i := slices.Index(p.waiting, t); i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
		q.waiting--
	}
	if len(p.running)+len(p.waiting) == 0 {
		delete(q.parties, t.from)
	}
}

// grant lets run whoever may. It is called after ask and leave, and again when
// patience has passed while somebody waits.
func (q *handshakeQueue) grant(now time.Time) {
	for q.waiting > 0 {
		p := q.next(now)
		if p == nil {
			return
		}
		t := p.waiting[0]
		p.waiting = slices.Delete(p.waiting, 0, 1)
		q.waiting--
		t.since = now
		p.running = append(p.running, t)
		q.running++
		t.begin()
	}
}

// next makes a place and returns whose it is, nil if there is none.
func (q *handshakeQueue) next(now time.Time) *party {
	var first, full *party
	for _, p := range q.parties {
		switch {
		case len(p.waiting) == 0:
		case len(p.running) < q.maxPerSource:
			if first == nil || len(p.running) < len(first.running) ||
				len(p.running) == len(first.running) && p.waiting[0].place < first.waiting[0].place {
				first = p
			}
		case q.stale(p, now) && (full == nil || p.waiting[0].place < full.waiting[0].place):
			full = p
		}
	}
	switch {
	case first != nil && q.running < q.max:
		return first
	case first != nil:
		if p := q.busiest(); q.stale(p, now) {
			q.evict(p)
			return first
		}
	}
	if full != nil {
		q.evict(full)
	}
	return full
}

func (q *handshakeQueue) busiest() *party {
	var most *party
	for _, p := range q.parties {
		if most == nil || len(p.running) > len(most.running) ||
			len(p.running) == len(most.running) && len(p.running) > 0 && p.running[0].since.Before(most.running[0].since) {
			most = p
		}
	}
	return most
}

// stale says whether the longest of p has had its time.
func (q *handshakeQueue) stale(p *party, now time.Time) bool {
	return len(p.running) > 0 && now.Sub(p.running[0].since) >= q.patience
}

func (q *handshakeQueue) evict(p *party) {
	t := p.running[0]
	q.leave(t)
	t.drop()
}
