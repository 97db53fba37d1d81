package bridge

import (
	"testing"

	"pgregory.net/rapid"
)

// Each device has a list of its own in the model; the first of it may go, unless
// it rests.
func TestChainsKeepTheOrderOfEachDevice(t *testing.T) {
	type device struct {
		list   []*record
		rests  bool
		onDisk bool
	}
	rapid.Check(t, func(t *rapid.T) {
		c := newChains()
		model := make(map[byte]*device)
		draw := func(t *rapid.T) (byte, *device) {
			number := rapid.Byte().Draw(t, "device") % 5
			if model[number] == nil {
				model[number] = new(device)
			}
			return number, model[number]
		}
		busy := func(t *rapid.T) *device {
			_, d := draw(t)
			if len(d.list) == 0 {
				t.Skip("nobody is there")
			}
			return d
		}
		taken := func(t *rapid.T, got *record, want []*record) {
			for _, r := range want {
				if got != r {
					t.Fatalf("got %p, want %p", got, r)
				}
				got = got.behind
			}
			if got != nil {
				t.Fatal("more than those that were there")
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"enter": func(t *rapid.T) {
				number, d := draw(t)
				r := &record{turn: rapid.Bool().Draw(t, "turn"), late: rapid.Bool().Draw(t, "late")}
				r.copy([]byte{number}, []byte{1, 2})
				if !r.turn {
					r.session = new(Session)
				}
				want := behind
				switch {
				case len(d.list) == 0:
					want = first
				case !r.turn && (d.rests || r.late && d.onDisk):
					want = resting
				}
				if got := c.enter(r); got != want {
					t.Fatalf("device %d: got %v, want %v", number, got, want)
				}
				if want != resting {
					d.onDisk = r.turn && (len(d.list) == 0 || d.onDisk)
					d.list = append(d.list, r)
				}
			},
			"leave": func(t *rapid.T) {
				d := busy(t)
				next := c.leave(d.list[0])
				d.list, d.rests = d.list[1:], false
				var want *record
				if len(d.list) > 0 {
					want = d.list[0]
				}
				if next != want {
					t.Fatalf("got %p next, want %p", next, want)
				}
			},
			"leave all": func(t *rapid.T) {
				d := busy(t)
				taken(t, c.leaveAll(d.list[0]), d.list)
				*d = device{}
			},
			"rest": func(t *rapid.T) {
				d := busy(t)
				taken(t, c.rest(d.list[0]), d.list[1:])
				d.list, d.rests, d.onDisk = d.list[:1], true, d.list[0].onDisk
			},
			"wake": func(t *rapid.T) {
				d := busy(t)
				c.wake(d.list[0])
				d.rests = false
			},
			"": func(t *rapid.T) {
				got, want := 0, 0
				for i := range c.shards {
					got += len(c.shards[i].last)
				}
				for _, d := range model {
					want += min(1, len(d.list))
				}
				if got != want {
					t.Fatalf("%d chains, want %d", got, want)
				}
			},
		})
	})
}

func TestChainsAllocateNothing(t *testing.T) {
	c := newChains()
	a, b := new(record), new(record)
	for _, r := range []*record{a, b} {
		r.copy([]byte("token"), nil)
	}
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
