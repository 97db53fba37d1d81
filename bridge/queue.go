package bridge

// recordQueue is a queue of records, linked through record.queued.
type recordQueue struct {
	first, last *record
	size        int
	taken       uint64 // ever, less those put back
}

func (q *recordQueue) empty() bool { return q.first == nil }

func (q *recordQueue) push(r *record) {
	if q.first == nil {
		q.first = r
	} else {
		q.last.queued = r
	}
	q.last = r
	q.size++
}

func (q *recordQueue) pop() *record {
	r := q.first
	if r != nil {
		q.first, r.queued = r.queued, nil
		if q.first == nil {
			q.last = nil
		}
		q.size--
		q.taken++
	}
	return r
}

// putBack undoes a pop. The last that was taken comes first.
func (q *recordQueue) putBack(r *record) {
	r.queued = q.first
	q.first = r
	if q.last == nil {
		q.last = r
	}
	q.size++
	q.taken--
}

// takeAll returns the first of all, which are linked as in the queue.
func (q *recordQueue) takeAll() *record {
	r := q.first
	*q = recordQueue{taken: q.taken + uint64(q.size)}
	return r
}
