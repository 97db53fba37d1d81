package gateway

import (
	"container/heap"
	"slices"
)

// party is what one source has in a handshakeQueue.
type party struct {
	from    source
	inLine  int     // its index in line, or outside
	inBusy  int     // its index in busy, or outside
	running []*turn // longest first
	alike   alike   // of running
	waiting []*turn // with a whole hello, longest first
	parts   []*turn // that wait without a whole hello, longest first
	partial int     // of running: without a whole hello
	granted uint64  // number of its last grant, among all; 0 for none
	chosen  *turn   // of waiting: the one that is first; nil: not known
}

const outside = -1

// line is a heap of the parties that have a turn waiting which their source's bound allows.
type line []*party

func (l line) Len() int           { return len(l) }
func (l line) Less(i, j int) bool { return l[i].before(l[j]) }

func (l line) Swap(i, j int) {
	l[i], l[j] = l[j], l[i]
	l[i].inLine, l[j].inLine = i, j
}

// Push adds a party, for package heap.
func (l *line) Push(p any) {
	added := p.(*party)
	added.inLine = len(*l)
	*l = append(*l, added)
}

// Pop takes the last one out, for package heap.
func (l *line) Pop() any {
	last := len(*l) - 1
	p := (*l)[last]
	(*l)[last] = nil
	*l, p.inLine = (*l)[:last], outside
	return p
}

// first is the party whose turn comes first; nil if there is none.
func (l line) first() *party {
	if len(l) == 0 {
		return nil
	}
	return l[0]
}

// begins and ends note which turns run.
func (p *party) begins(t *turn) {
	p.running = append(p.running, t)
	p.alike.add(t.looks, 1)
	p.chosen = nil
	if !t.whole {
		p.partial++
	}
}

func (p *party) ends(i int) {
	t := p.running[i]
	p.running = slices.Delete(p.running, i, i+1)
	p.alike.add(t.looks, -1)
	p.chosen = nil
	if !t.whole {
		p.partial--
	}
}

// waits notes a turn that waits with a whole hello.
func (p *party) waits(t *turn) {
	p.waiting = append(p.waiting, t)
	if p.chosen != nil && p.alike.to(t.looks) <= p.alike.to(p.chosen.looks) {
		p.chosen = t
	}
}

// foremost is the turn that p has next; nil for none. Of those with a whole hello it is the
// one whose hello is like the fewest that run. If there is none, it is the last of the others.
func (p *party) foremost() *turn {
	if p.chosen == nil && len(p.waiting) > 0 {
		fewest := 0
		for _, t := range slices.Backward(p.waiting) {
			if n := p.alike.to(t.looks); p.chosen == nil || n < fewest {
				p.chosen, fewest = t, n
			}
			if fewest == 0 {
				break
			}
		}
	}
	if n := len(p.parts); n > 0 && p.chosen == nil {
		return p.parts[n-1]
	}
	return p.chosen
}

// before reports whether the foremost turn of p comes before that of o. If only the place
// counted, a source that has asked last would wait for everything that others have asked for.
func (p *party) before(o *party) bool {
	t, u := p.foremost(), o.foremost()
	if t.whole != u.whole {
		return t.whole
	}
	if len(p.running) != len(o.running) {
		return len(p.running) < len(o.running)
	}
	if p.granted != o.granted {
		return p.granted < o.granted
	}
	return t.place < u.place
}

// file updates the indexes of the queue whenever what p has changes.
func (q *handshakeQueue) file(p *party) {
	switch runs := len(p.running) > 0; {
	case runs && p.inBusy == outside:
		p.inBusy = len(q.busy)
		q.busy = append(q.busy, p)
	case !runs && p.inBusy != outside:
		last := q.busy[len(q.busy)-1]
		q.busy[p.inBusy], last.inBusy = last, p.inBusy
		q.busy, p.inBusy = slices.Delete(q.busy, len(q.busy)-1, len(q.busy)), outside
	}
	if len(p.parts) > 0 {
		q.partial[p] = struct{}{}
	} else {
		delete(q.partial, p)
	}
	switch eligible := len(p.running) < q.maxPerSource && p.foremost() != nil; {
	case eligible && p.inLine == outside:
		heap.Push(&q.line, p)
	case eligible:
		heap.Fix(&q.line, p.inLine)
	case p.inLine != outside:
		heap.Remove(&q.line, p.inLine)
	}
	if len(p.running)+len(p.waiting)+len(p.parts) == 0 {
		delete(q.parties, p.from)
	}
}
