package bridge

// recordQueue is a queue of records, linked through record.queued.
type recordQueue struct{ first, last *record }

func (q *recordQueue) empty() bool { return q.first == nil }

func (q *recordQueue) push(r *record) {
	if q.first == nil {
		q.first = r
	} else {
		q.last.queued = r
	}
	q.last = r
}

func (q *recordQueue) pop() *record {
	r := q.first
	if r != nil {
		q.first, r.queued = r.queued, nil
		if q.first == nil {
			q.last = nil
		}
	}
	return r
}

func (q *recordQueue) takeAll() *record {
	r := q.first
	*q = recordQueue{}
	return r
}
