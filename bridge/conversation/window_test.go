package conversation

import (
	"fmt"
	"testing"

	"apnsbridge/binproto"
	"pgregory.net/rapid"
)

// put appends v to w.
func put[T any](w *Window[T], v T) Seq {
	s, p := w.Take()
	*p = v
	return s
}

// naive is the simplest possible window: everything ever taken, in a slice.
type naive struct {
	all  []naivePlace
	head int
}

type naivePlace struct {
	value   string
	settled bool
	status  binproto.Status
}

func (n *naive) open() (open []Seq) {
	for i := n.head; i < len(n.all); i++ {
		if !n.all[i].settled {
			open = append(open, Seq(i))
		}
	}
	return open
}

// Whatever the order of events, the window behaves as the naive one does.
func TestWindowModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w Window[string]
		var n naive
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				for range rapid.IntRange(1, 12).Draw(t, "count") {
					v := fmt.Sprint("n", len(n.all))
					if s := put(&w, v); s != Seq(len(n.all)) {
						t.Fatalf("Take: got place %d, want %d", s, len(n.all))
					}
					n.all = append(n.all, naivePlace{value: v})
				}
			},
			"settle": func(t *rapid.T) {
				open := n.open()
				if len(open) == 0 {
					t.Skip()
				}
				s := rapid.SampledFrom(open).Draw(t, "place")
				status := rapid.SampledFrom([]binproto.Status{0, 0, 8}).Draw(t, "status")
				w.Settle(s, status)
				n.all[s].settled, n.all[s].status = true, status
			},
			"change": func(t *rapid.T) {
				if n.head == len(n.all) {
					t.Skip()
				}
				s := rapid.IntRange(n.head, len(n.all)-1).Draw(t, "place")
				n.all[s].value += "'"
				*w.At(Seq(s)) += "'"
			},
			"next": func(t *rapid.T) {
				v, status, ok := w.Next()
				wantOK := n.head < len(n.all) && n.all[n.head].settled
				if ok != wantOK {
					t.Fatalf("Next: got %v, want %v", ok, wantOK)
				}
				if !ok {
					return
				}
				if want := n.all[n.head]; *v != want.value || status != want.status {
					t.Fatalf("Next: got %s, status %d; want %s, status %d", *v, status, want.value, want.status)
				}
				*v = ""
				n.head++
			},
			"": func(t *rapid.T) {
				if got, want := w.Len(), len(n.all)-n.head; got != want {
					t.Fatalf("Len: got %d, want %d", got, want)
				}
				if got, want := w.Tail(), Seq(len(n.all)); got != want {
					t.Fatalf("Tail: got %d, want %d", got, want)
				}
				s, v, ok := w.Head()
				if ok != (n.head < len(n.all)) || ok && (s != Seq(n.head) || v != n.all[n.head].value) {
					t.Fatalf("Head: got place %d, %s, %v; want place %d", s, v, ok, n.head)
				}
				i := n.head
				for s, v := range w.All() {
					if s != Seq(i) || v != n.all[i].value {
						t.Fatalf("All: got place %d, %s; want %d, %s", s, v, i, n.all[i].value)
					}
					i++
				}
				if i != len(n.all) {
					t.Fatalf("All: stopped at %d, want %d", i, len(n.all))
				}
				for i, p := range n.all {
					if got, want := w.Settled(Seq(i)), i < n.head || p.settled; got != want {
						t.Fatalf("Settled(%d): got %v, want %v", i, got, want)
					}
				}
			},
		})
	})
}

// Misuse that could give a provider a wrong answer panics.
func TestWindowMisuse(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(w *Window[int])
	}{
		{"settled twice", func(w *Window[int]) { w.Settle(1, 0); w.Settle(1, 0) }},
		{"settled after it has left", func(w *Window[int]) { w.Settle(0, 0); w.Next(); w.Settle(0, 0) }},
		{"settled before it was taken", func(w *Window[int]) { w.Settle(2, 0) }},
		{"looked at after it has left", func(w *Window[int]) { w.Settle(0, 0); w.Next(); w.At(0) }},
		{"asked for before it was taken", func(w *Window[int]) { w.Settled(2) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			var w Window[int]
			put(&w, 1)
			put(&w, 2)
			defer func() {
				if recover() == nil {
					t.Error("did not panic")
				}
			}()
			test.do(&w)
		})
	}
}

// All yields nothing more after a break out of its loop.
func TestWindowAllStops(t *testing.T) {
	var w Window[int]
	for i := range 3 {
		put(&w, i)
	}
	for s := range w.All() {
		if s == 1 {
			break
		}
		if s > 1 {
			t.Errorf("got place %d after the loop ended", s)
		}
	}
}

// Once it is empty, a window gives back the memory that a burst took.
func TestWindowShrinks(t *testing.T) {
	var w Window[int]
	for i := range 1000 {
		put(&w, i)
	}
	for i := range 1000 {
		if cap(w.ring) < 1000 {
			t.Fatalf("%d places with %d taken", cap(w.ring), w.Len())
		}
		w.Settle(Seq(i), 0)
		w.Next()
	}
	if cap(w.ring) > keptRing {
		t.Errorf("%d places are kept, want %d at most", cap(w.ring), keptRing)
	}
	if s := put(&w, 1000); s != 1000 || *w.At(s) != 1000 {
		t.Errorf("got place %d with %d after the window was empty, want 1000", s, *w.At(s))
	}
}
