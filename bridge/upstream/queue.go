package upstream

import "slices"

// pushQueue is a queue of pushes. It is a ring and no chain, so that who takes many of them
// does not wait for the memory of each before the next is known.
type pushQueue struct {
	ring  []*Push // its length is a power of two, or 0
	from  int     // where the first is
	size  int
	taken uint64 // ever, less those put back
}

// smallRing is the length from which a ring is given back once nothing is in it.
const smallRing = 1024

func (q *pushQueue) empty() bool { return q.size == 0 }

// at is the place in the ring of the i-th.
func (q *pushQueue) at(i int) int { return (q.from + i) & (len(q.ring) - 1) }

// first is nil if there is none.
func (q *pushQueue) first() *Push {
	if q.empty() {
		return nil
	}
	return q.ring[q.from]
}

func (q *pushQueue) push(p *Push) {
	q.grow()
	q.ring[q.at(q.size)] = p
	q.size++
}

// pop takes the first; the queue must not be empty.
func (q *pushQueue) pop() *Push {
	p := q.ring[q.from]
	q.ring[q.from], q.from = nil, q.at(1)
	q.size--
	q.taken++
	if q.empty() && len(q.ring) > smallRing {
		q.ring, q.from = nil, 0
	}
	return p
}

// putBack undoes a pop. The last that was taken comes first.
func (q *pushQueue) putBack(p *Push) {
	q.grow()
	q.from = q.at(len(q.ring) - 1)
	q.ring[q.from] = p
	q.size++
	q.taken--
}

// grow makes room for one more.
func (q *pushQueue) grow() {
	if q.size == len(q.ring) {
		all := q.all()
		q.ring, q.from = make([]*Push, max(64, 2*len(q.ring))), 0
		copy(q.ring, all)
	}
}

// takeAll empties the queue, and gives what was in it.
func (q *pushQueue) takeAll() []*Push {
	all := q.all()
	*q = pushQueue{taken: q.taken + uint64(q.size)}
	return all
}

// all gives what is in the queue, in order.
func (q *pushQueue) all() []*Push {
	end := min(len(q.ring), q.from+q.size)
	return slices.Concat(q.ring[q.from:end], q.ring[:q.size-(end-q.from)])
}
