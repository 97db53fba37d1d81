package bridge

import (
	"testing"

	"pgregory.net/rapid"
)

// Each device has a list of its own in the model; the first of it may go.
func TestChainsKeepTheOrderOfEachDevice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newChains()
		model := make(map[byte][]*record)
		t.Repeat(map[string]func(*rapid.T){
			"enter": func(t *rapid.T) {
				device := rapid.Byte().Draw(t, "device") % 5
				r := &record{bytes: []byte{device, 1, 2}, tokenSize: 1}
				first := c.enter(r)
				if want := len(model[device]) == 0; first != want {
					t.Fatalf("device %d: first is %v, want %v", device, first, want)
				}
				model[device] = append(model[device], r)
			},
			"leave": func(t *rapid.T) {
				device := rapid.Byte().Draw(t, "device") % 5
				if len(model[device]) == 0 {
					t.Skip("nothing to leave")
				}
				next := c.leave(model[device][0])
				model[device] = model[device][1:]
				var want *record
				if len(model[device]) > 0 {
					want = model[device][0]
				}
				if next != want {
					t.Fatalf("device %d: got %p next, want %p", device, next, want)
				}
			},
			"": func(t *rapid.T) {
				busy := 0
				for i := range c.shards {
					busy += len(c.shards[i].last)
				}
				want := 0
				for _, list := range model {
					want += min(1, len(list))
				}
				if busy != want {
					t.Fatalf("%d chains, want %d", busy, want)
				}
			},
		})
	})
}

func TestChainsAllocateNothing(t *testing.T) {
	c := newChains()
	a, b := &record{bytes: []byte("token"), tokenSize: 5}, &record{bytes: []byte("token"), tokenSize: 5}
	n := testing.AllocsPerRun(100, func() {
		c.enter(a)
		c.enter(b)
		c.leave(a)
		c.leave(b)
	})
	if n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
