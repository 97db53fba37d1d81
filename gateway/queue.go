package gateway

import (
	"slices"
	"time"
)

// handshakeQueue decides whose handshake may run. A complete hello comes before
// one that is not, the source with the fewest running comes first, of several the
// one whose last turn is longest ago, and of each source the turn whose hello is like
// the fewest of those running: strangers who stall use one library, or send one hello
// again and again, and a provider behind their address another. Of several it is the
// one that was asked for last: where more is asked for than can run, those served would
// otherwise be the ones that are about to give up.
//
// Where there is no place, whoever has been at it longest, of the source that
// has most, has to go, once it has had patience to come to an end: a peer that
// says hello and then nothing would keep its place for nothing. One whose hello is
// like no other's of its source has that twice: a provider may be far away, or its
// network lose a segment. A hello that is not complete has a quarter, and goes first.
// Only who owes us something goes: with TLS 1.3 a client that has answered believes
// that it is connected, and loses what it goes on to write.
//
// It has neither lock nor clock.
type handshakeQueue struct {
	max, maxPerSource int
	patience          time.Duration

	asked, granted   uint64 // how often
	running, waiting int
	parts            int // of waiting: without a whole hello; max at most

	parties map[source]*party
	line    line                // of parties, those that could have one more run
	busy    []*party            // of parties, those of which some run; max at most
	partial map[*party]struct{} // of parties, those of which some wait without a whole hello; max and one at most
}

// turn is one handshake.
type turn struct {
	from  source
	whole bool        // its hello is complete
	looks looks       // of that
	place uint64      // among all that have asked
	since time.Time   // when it began to run, or its client to have its time anew
	begin func()      // called when it may run
	owes  func() bool // asked whether it waits for its client, and nothing of that has come
	drop  func()      // called when it has to go
}

func newHandshakeQueue(l Limits) *handshakeQueue {
	return &handshakeQueue{
		max:          l.Handshakes,
		maxPerSource: min(l.HandshakesPerAddress, l.Handshakes),
		patience:     min(500*time.Millisecond, l.HandshakeTimeout/4),
		parties:      make(map[source]*party),
		partial:      make(map[*party]struct{}),
	}
}

// ask puts t behind all that wait.
func (q *handshakeQueue) ask(t *turn) {
	p := q.parties[t.from]
	if p == nil {
		p = &party{from: t.from, inLine: outside, inBusy: outside}
		q.parties[t.from] = p
	}
	q.asked++
	t.place = q.asked
	q.waiting++
	if t.whole {
		p.waits(t)
	} else {
		p.parts = append(p.parts, t)
		q.parts++
	}
	q.file(p)
	if q.parts > q.max {
		q.dropPart()
	}
}

// dropPart drops who has waited for longest without a whole hello, of the source
// that has most of them.
func (q *handshakeQueue) dropPart() {
	var most *party
	for p := range q.partial {
		if most == nil || len(p.parts) > len(most.parts) ||
			len(p.parts) == len(most.parts) && p.parts[0].place < most.parts[0].place {
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
		p.ends(i)
		q.running--
	} else {
		q.stopWaiting(p, t)
	}
	q.file(p)
}

// stopWaiting takes t out of those of p that wait, if it is there.
func (q *handshakeQueue) stopWaiting(p *party, t *turn) {
	if i := slices.Index(p.waiting, t); i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
		q.waiting--
		if p.chosen == t {
			p.chosen = nil
		}
	} else if i := slices.Index(p.parts, t); i >= 0 {
		p.parts = slices.Delete(p.parts, i, i+1)
		q.waiting--
		q.parts--
	}
}

// goesOn notes that t, which runs, has come further: its hello is complete, its client has
// answered, or we have. Its client has the same time again.
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
		p.begins(t)
		q.running++
		q.granted++
		p.granted = q.granted
		q.file(p)
		t.begin()
	}
}

// next makes a place and returns whose foremost turn it is for, nil if there is
// none.
func (q *handshakeQueue) next(now time.Time) *party {
	first := q.line.first()
	full, stale := q.full(now)
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
	q.evict(stale)
	if first != nil && first.before(full) {
		return first
	}
	return full
}

// full is the party that comes first of those that have as many running as they may, and of
// these one that has had its time; nil if there is none.
func (q *handshakeQueue) full(now time.Time) (full *party, stale *turn) {
	for _, p := range q.busy {
		if len(p.running) < q.maxPerSource || p.foremost() == nil || full != nil && !p.before(full) {
			continue
		}
		if t := q.stale(p, now); t != nil {
			full, stale = p, t
		}
	}
	return full, stale
}

// spare is the turn that gives way to another source's, nil if there is none: of
// whoever has most without a whole hello, or else of whoever has most.
func (q *handshakeQueue) spare(now time.Time) *turn {
	var victim *turn
	most := 0
	for _, p := range q.busy {
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
	for _, p := range q.busy {
		if most == nil || len(p.running) > len(most.running) ||
			len(p.running) == len(most.running) && p.running[0].since.Before(most.running[0].since) {
			most = p
		}
	}
	return most
}

// stale is the turn of p that has had its time for longest and owes us something, nil if
// there is none: first of those without a whole hello.
func (q *handshakeQueue) stale(p *party, now time.Time) (longest *turn) {
	for _, t := range p.running {
		had := now.Sub(t.since)
		switch {
		case had < q.patience/4:
			return longest
		case !t.whole && t.owes():
			return t
		case longest == nil && t.whole && had >= q.patienceWith(t, p) && t.owes():
			longest = t
		}
	}
	return longest
}

// patienceWith is what t of p has to come to its end, or one step further.
func (q *handshakeQueue) patienceWith(t *turn, p *party) time.Duration {
	if itself := 1 + len(p.running); len(p.running) > 1 && p.alike.to(t.looks) == itself {
		return 2 * q.patience
	}
	return q.patience
}

func (q *handshakeQueue) evict(t *turn) {
	q.leave(t)
	t.drop()
}
