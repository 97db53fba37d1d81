package gateway

import (
	"slices"
	"time"
)

// handshakeQueue decides whose handshake may run. A complete hello comes before
// one that is not, the source with the fewest running comes first, and of each
// source the turn that was asked for last: where more is asked for than can run,
// those served would otherwise be the ones that are about to give up.
//
// Where there is no place, whoever has been at it longest, of the source that
// has most, has to go, once it has had patience to come to an end: a peer that
// says hello and then nothing would keep its place for nothing. A hello that is
// not complete has a quarter of that, and goes first.
//
// It has neither lock nor clock.
type handshakeQueue struct {
	max, maxPerSource int
	patience          time.Duration

	asked            uint64 // how often
	running, waiting int
	parts            int // of waiting: without a whole hello; max at most
	parties          map[source]*party
}

type party struct {
	running []*turn // longest first
	waiting []*turn // longest first, with a whole hello
	parts   []*turn // longest first, that wait without
	partial int     // of running: without a whole hello
}

// turn is one handshake.
type turn struct {
	from  source
	whole bool      // its hello is complete
	place uint64    // among all that have asked
	since time.Time // when it began to run
	begin func()    // called when it may run
	drop  func()    // called when it has to go
}

func newHandshakeQueue(l Limits) *handshakeQueue {
	return &handshakeQueue{
		max:          l.Handshakes,
		maxPerSource: min(l.HandshakesPerAddress, l.Handshakes),
		patience:     min(500*time.Millisecond, l.HandshakeTimeout/4),
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
	q.waiting++
	if t.whole {
		p.waiting = append(p.waiting, t)
		return
	}
	p.parts = append(p.parts, t)
	if q.parts++; q.parts > q.max {
		q.dropPart()
	}
}

// dropPart drops who has waited for longest without a whole hello, of the source
// that has most of them.
func (q *handshakeQueue) dropPart() {
	var most *party
	for _, p := range q.parties {
		if most == nil || len(p.parts) > len(most.parts) ||
			len(p.parts) == len(most.parts) && len(p.parts) > 0 && p.parts[0].place < most.parts[0].place {
			most = p
		}
	}
	q.evict(most.parts[0])
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
		if !t.whole {
			p.partial--
		}
	} else {
		q.stopWaiting(p, t)
	}
	if len(p.running)+len(p.waiting)+len(p.parts) == 0 {
		delete(q.parties, t.from)
	}
}

// stopWaiting takes t out of those of p that wait, if it is there.
func (q *handshakeQueue) stopWaiting(p *party, t *turn) {
	if i := slices.Index(p.waiting, t); i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
		q.waiting--
	} else if i := slices.Index(p.parts, t); i >= 0 {
		p.parts = slices.Delete(p.parts, i, i+1)
		q.waiting--
		q.parts--
	}
}

// goesOn notes that the client of t, which runs, has done its part: its hello is
// complete, or it has answered ours. It has the same time again.
func (q *handshakeQueue) goesOn(t *turn, now time.Time) {
	p := q.parties[t.from]
	if p == nil {
		return
	}
	if i := slices.Index(p.running, t); i >= 0 {
		p.running = append(slices.Delete(p.running, i, i+1), t)
		t.since = now
		if !t.whole {
			p.partial--
		}
		t.whole = true
	}
}

// grant lets run whoever may. It is called after ask, goesOn and leave, and
// again when patience has passed while another waits.
func (q *handshakeQueue) grant(now time.Time) {
	for q.waiting > 0 {
		p := q.next(now)
		if p == nil {
			return
		}
		t := p.foremost()
		q.stopWaiting(p, t)
		t.since = now
		p.running = append(p.running, t)
		q.running++
		if !t.whole {
			p.partial++
		}
		t.begin()
	}
}

// foremost is the turn that p has next, nil for none: the last with a whole
// hello, or else the last.
func (p *party) foremost() *turn {
	if n := len(p.waiting); n > 0 {
		return p.waiting[n-1]
	}
	if n := len(p.parts); n > 0 {
		return p.parts[n-1]
	}
	return nil
}

// next makes a place and returns whose foremost turn it is for, nil if there is
// none.
func (q *handshakeQueue) next(now time.Time) *party {
	var first, full *party // with room for one more; with one of its own that has had its time
	for _, p := range q.parties {
		switch {
		case p.foremost() == nil:
		case len(p.running) < q.maxPerSource:
			if first == nil || p.before(first) {
				first = p
			}
		case q.stale(p, now) != nil && (full == nil || p.before(full)):
			full = p
		}
	}
	if first != nil && full != nil && full.foremost().whole && !first.foremost().whole {
		first = nil
	}
	if first != nil {
		if q.running < q.max {
			return first
		}
		if victim := q.spare(now); victim != nil {
			q.evict(victim)
			return first
		}
	}
	if full == nil {
		return nil
	}
	q.evict(q.stale(full, now))
	if first != nil && first.before(full) {
		return first
	}
	return full
}

// before reports whether the foremost turn of p comes before that of o.
func (p *party) before(o *party) bool {
	t, u := p.foremost(), o.foremost()
	if t.whole != u.whole {
		return t.whole
	}
	if len(p.running) != len(o.running) {
		return len(p.running) < len(o.running)
	}
	return t.place < u.place
}

// spare is the turn that gives way to another source's, nil if there is none: of
// whoever has most without a whole hello, or else of whoever has most.
func (q *handshakeQueue) spare(now time.Time) *turn {
	var victim *turn
	most := 0
	for _, p := range q.parties {
		if p.partial > most {
			if t := q.stale(p, now); t != nil && !t.whole {
				victim, most = t, p.partial
			}
		}
	}
	if p := q.busiest(); victim == nil && p != nil {
		victim = q.stale(p, now)
	}
	return victim
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

// stale is the turn of p that has had its time for longest, nil if none has:
// first of those without a whole hello.
func (q *handshakeQueue) stale(p *party, now time.Time) *turn {
	if p.partial > 0 {
		for _, t := range p.running {
			if !t.whole {
				if now.Sub(t.since) >= q.patience/4 {
					return t
				}
				break
			}
		}
	}
	for _, t := range p.running {
		if t.whole {
			if now.Sub(t.since) >= q.patience {
				return t
			}
			break
		}
	}
	return nil
}

func (q *handshakeQueue) evict(t *turn) {
	q.leave(t)
	t.drop()
}
