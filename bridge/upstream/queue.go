package upstream

// pushQueue is a queue of pushes, linked through Push.queued.
type pushQueue struct {
	first, last *Push
	size        int
	taken       uint64 // ever, less those put back
}

func (q *pushQueue) empty() bool { return q.first == nil }

func (q *pushQueue) push(p *Push) {
	if q.first == nil {
		q.first = p
	} else {
		q.last.queued = p
	}
	q.last = p
	q.size++
}

func (q *pushQueue) pop() *Push {
	p := q.first
	if p != nil {
		q.first, p.queued = p.queued, nil
		if q.first == nil {
			q.last = nil
		}
		q.size--
		q.taken++
	}
	return p
}

// putBack undoes a pop. The last that was taken comes first.
func (q *pushQueue) putBack(p *Push) {
	p.queued = q.first
	q.first = p
	if q.last == nil {
		q.last = p
	}
	q.size++
	q.taken--
}

// takeAll returns the first of all, which are linked as in the queue.
func (q *pushQueue) takeAll() *Push {
	p := q.first
	*q = pushQueue{taken: q.taken + uint64(q.size)}
	return p
}
