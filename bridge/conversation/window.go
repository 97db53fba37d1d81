package conversation

import (
	"iter"
	"strconv"

	"apnsbridge/binproto"
)

// Seq is the place of a notification on its connection, counted from 0.
type Seq uint64

// Window is the ordered list of notifications on one connection that have no verdict yet.
// Verdicts come in any order, and leave in the order of the frames. T is what the owner
// wants to find with each verdict.
//
// The zero value is empty. A Window is not safe for concurrent use. Misuse, such as
// settling a notification twice, panics: it would tell a provider a lie.
type Window[T any] struct {
	ring []cell[T] // length is a power of two
	head Seq       // the oldest notification still in the window
	next Seq       // the place of the next one taken
}

type cell[T any] struct {
	value   T
	settled bool
	status  binproto.Status
}

// keptRing is how many places an empty window keeps. Most connections are silent most of
// the time, and a burst must not cost memory for as long as they last.
const keptRing = 8

// Len is the number of notifications in the window.
func (w *Window[T]) Len() int { return int(w.next - w.head) }

// Take makes an empty place behind all others, for the owner to fill in: a T is large, and
// so it is written only once. The pointer is valid until the next Take.
func (w *Window[T]) Take() (Seq, *T) {
	if w.Len() == len(w.ring) {
		w.grow()
	}
	s := w.next
	w.next++
	return s, &w.at(s).value
}

// Settle gives the verdict on the notification at s: NoError if it was accepted, or if the
// owner answers for it now; else the status with which it is refused.
func (w *Window[T]) Settle(s Seq, status binproto.Status) {
	p := w.lookup(s)
	if p.settled {
		panic("conversation: notification " + strconv.FormatUint(uint64(s), 10) + " is settled twice")
	}
	p.settled, p.status = true, status
}

// Settled reports whether the notification at s has its verdict, or has left.
func (w *Window[T]) Settled(s Seq) bool {
	return s < w.head || w.lookup(s).settled
}

// Next removes the head of the window if it is settled, and returns it with its
// verdict. Call it after Settle until ok is false. The owner clears what v points to
// before the next Take, which may use the same place.
func (w *Window[T]) Next() (v *T, status binproto.Status, ok bool) {
	if w.head == w.next {
		return nil, 0, false
	}
	p := w.at(w.head)
	if !p.settled {
		return nil, 0, false
	}
	status = p.status
	p.settled, p.status = false, binproto.NoError
	w.head++
	if w.head == w.next && len(w.ring) > keptRing {
		w.ring = nil
	}
	return &p.value, status, true
}

// Head is the oldest notification of the window, settled or not.
func (w *Window[T]) Head() (s Seq, v T, ok bool) {
	if w.head == w.next {
		return 0, v, false
	}
	return w.head, w.at(w.head).value, true
}

// At is what the owner put at s. It may be read, or changed in place, until the next Take.
func (w *Window[T]) At(s Seq) *T { return &w.lookup(s).value }

// Tail is the place that the next notification will get.
func (w *Window[T]) Tail() Seq { return w.next }

// All gives the notifications in the window, oldest first.
func (w *Window[T]) All() iter.Seq2[Seq, T] {
	return func(yield func(Seq, T) bool) {
		for s := w.head; s < w.next; s++ {
			if !yield(s, w.at(s).value) {
				return
			}
		}
	}
}

func (w *Window[T]) at(s Seq) *cell[T] { return &w.ring[s&Seq(len(w.ring)-1)] }

func (w *Window[T]) lookup(s Seq) *cell[T] {
	if s < w.head || s >= w.next {
		panic("conversation: no notification " + strconv.FormatUint(uint64(s), 10) + " in the window from " +
			strconv.FormatUint(uint64(w.head), 10) + " to " + strconv.FormatUint(uint64(w.next), 10))
	}
	return w.at(s)
}

func (w *Window[T]) grow() {
	old := *w
	w.ring = make([]cell[T], max(2, 2*len(old.ring)))
	for s := old.head; s < old.next; s++ {
		*w.at(s) = *old.at(s)
	}
}
