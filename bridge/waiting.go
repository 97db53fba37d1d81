package bridge

import (
	"container/heap"
	"sync"
	"time"
)

// waiting is the room in which records wait for their next attempt. It has no
// bound of its own: queued_bytes bounds them.
type waiting struct {
	mu   sync.Mutex
	due  dueHeap
	wake chan struct{}
}

type waiter struct {
	at time.Time
	r  *record
}

type dueHeap []waiter

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(w any)        { *h = append(*h, w.(waiter)) }
func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	w := (*h)[last]
	(*h)[last] = waiter{}
	*h = (*h)[:last]
	return w
}

func newWaiting() *waiting { return &waiting{wake: make(chan struct{}, 1)} }

// add lets r wait until the time at.
func (w *waiting) add(r *record, at time.Time) {
	w.mu.Lock()
	heap.Push(&w.due, waiter{at, r})
	first := w.due[0].r == r
	w.mu.Unlock()
	if first {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

func (w *waiting) len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.due.Len()
}

// takeAll takes out all that wait.
func (w *waiting) takeAll() []*record {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]*record, len(w.due))
	for i, x := range w.due {
		all[i] = x.r
	}
	w.due = nil
	return all
}

// run sends each record on when its time has come, until done is closed.
func (w *waiting) run(done <-chan struct{}, send func(*record)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-done:
			return
		case <-w.wake:
		case <-timer.C:
		}
		now := time.Now()
		for {
			r, wait := w.next(now)
			if r == nil {
				if wait > 0 {
					timer.Reset(wait)
				}
				break
			}
			send(r)
		}
	}
}

// next takes out a record whose time has come, or says how long the first has
// still to wait; 0 if there is none.
func (w *waiting) next(now time.Time) (*record, time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.due.Len() == 0 {
		return nil, 0
	}
	if wait := w.due[0].at.Sub(now); wait > 0 {
		return nil, wait
	}
	return heap.Pop(&w.due).(waiter).r, 0
}
