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
	parties          map[source]*party
}

type party struct {
	running []*turn // longest first
	waiting []*turn // longest first
	partial int     // of running: with a hello that is not complete
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
		if !t.whole {
			p.partial--
		}
	} else if i := slices.Index(p.waiting, t); i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
		q.waiting--
	}
	if len(p.running)+len(p.waiting) == 0 {
		delete(q.parties, t.from)
	}
}

// complete notes that the hello of t, which runs, has come to its end. The
// handshake begins now.
func (q *handshakeQueue) complete(t *turn, now time.Time) {
	p := q.parties[t.from]
	if p == nil || t.whole {
		return
	}
	if i := slices.Index(p.running, t); i >= 0 {
		p.running = append(slices.Delete(p.running, i, i+1), t)
		p.partial--
		t.since = now
	}
	t.whole = true
}

// grant lets run whoever may. It is called after ask, complete and leave, and
// again when patience has passed while somebody waits.
func (q *handshakeQueue) grant(now time.Time) {
	for q.waiting > 0 {
		p, i := q.next(now)
		if p == nil {
			return
		}
		t := p.waiting[i]
		p.waiting = slices.Delete(p.waiting, i, i+1)
		q.waiting--
		t.since = now
		p.running = append(p.running, t)
		q.running++
		if !t.whole {
			p.partial++
		}
		t.begin()
	}
}

// foremost is the place in waiting of the turn that p has next, -1 for none: the
// last with a whole hello, or else the last.
func (p *party) foremost() int {
	for i, t := range slices.Backward(p.waiting) {
		if t.whole {
			return i
		}
	}
	return len(p.waiting) - 1
}

// next makes a place and returns whose it is and for which of its turns, nil if
// there is none.
func (q *handshakeQueue) next(now time.Time) (*party, int) {
	var first, full *party
	var firstTurn, fullTurn *turn
	for _, p := range q.parties {
		i := p.foremost()
		if i < 0 {
			continue
		}
		t := p.waiting[i]
		switch {
		case len(p.running) < q.maxPerSource:
			if first == nil || before(t, p, firstTurn, first) {
				first, firstTurn = p, t
			}
		case q.stale(p, now) != nil && (full == nil || before(t, p, fullTurn, full)):
			full, fullTurn = p, t
		}
	}
	if first != nil && full != nil && fullTurn.whole && !firstTurn.whole {
		first = nil
	}
	switch {
	case first != nil && q.running < q.max:
		return first, first.foremost()
	case first != nil:
		if victim := q.spare(now); victim != nil {
			q.evict(victim)
			return first, first.foremost()
		}
	}
	if full == nil {
		return nil, 0
	}
	q.evict(q.stale(full, now))
	if first != nil && before(firstTurn, first, fullTurn, full) {
		full = first
	}
	return full, full.foremost()
}

// before reports whether t of p comes before u of q.
func before(t *turn, p *party, u *turn, q *party) bool {
	if t.whole != u.whole {
		return t.whole
	}
	if len(p.running) != len(q.running) {
		return len(p.running) < len(q.running)
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
