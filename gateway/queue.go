package gateway

import (
	"slices"
	"time"
)

// handshakeQueue decides which handshakes may run.
//
// A complete hello comes before an incomplete one. Then the source with the fewest
// running handshakes comes first; of several such, the one whose last turn is longest
// ago. Of each source, the turn comes first whose hello is like the fewest of those
// running: strangers that stall use one library, or send one hello again and again,
// while a provider behind the same address uses another. Of several such turns it is the
// one that asked last: when more ask than can run, those that asked first are about to
// give up.
//
// When there is no place left, one has to go: of the source that has most, the one that
// has been running longest, once its patience is over. Otherwise a peer that says hello
// and then nothing would keep its place for nothing. One whose hello is like no other of
// its source has twice that patience: a provider may be far away, or its network may
// lose a segment. An incomplete hello has a quarter of it, and goes first. Only one whose
// client owes us something goes: with TLS 1.3 a client that has answered believes that it
// is connected, and would lose what it goes on to write.
//
// It has neither lock nor clock.
type handshakeQueue struct {
	max, maxPerSource int
	patience          time.Duration

	asked, granted   uint64 // since the start
	running, waiting int
	parts            int // of waiting: without a whole hello; max at most

	parties map[source]*party
	line    line                // the parties that could have one more turn run
	busy    []*party            // the parties that have a turn running; max at most
	partial map[*party]struct{} // the parties that have a turn waiting without a whole hello; max and one at most
}

// turn is one handshake.
type turn struct {
	from  source
	whole bool        // its hello is complete
	looks looks       // of its hello
	place uint64      // its number among all that have asked
	since time.Time   // when it began to run, or when its client was given its time anew
	begin func()      // called when it may run
	owes  func() bool // reports whether it waits for its client, and nothing of that has come
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

// ask puts t behind all others that wait.
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

// dropPart drops the turn that has waited longest without a whole hello, of the source that
// has most of these.
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

// leave takes t out, whether it is running, waiting or already gone.
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

// stopWaiting takes t out of those turns of p that wait, if it is among them.
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

// goesOn notes that t, which runs, has made a step: its hello is complete, its client has
// answered, or we have. Its client is given its time anew.
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

// grant lets every turn run that may. It is called after ask, goesOn and leave, and again
// when time has passed while another waits.
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

// next makes a place, and returns the party whose foremost turn may have it; nil if there is
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

// full gives the first of the parties that have as many running as they may and a turn that
// has had its time, and gives that turn; nil if there is none.
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

// spare is the turn that gives way to another source's; nil if there is none. It is one of
// the source that has most without a whole hello, or else of the source that has most.
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

// stale is the turn of p whose time has been over for longest and whose client owes us
// something; nil if there is none. Those without a whole hello come first.
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

// patienceWith is how long the turn t of p has to end, or to make its next step.
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
