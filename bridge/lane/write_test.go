package lane

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// begin takes up to k items that are to be written.
func (g *rig) begin(k int) []*Item { return g.lane.Begin(k, 1<<20, g.now) }

// devicesOf gives the devices of items, in order.
func devicesOf(items []*Item) (ds []int) {
	for _, it := range items {
		ds = append(ds, it.Owner.(*note).device)
	}
	return ds
}

// parkedOnDisk makes k devices wait on their own account, each with a notification in its queue.
func parkedOnDisk(k int) *rig {
	g := newRig(Overflow, nil)
	for i := range k {
		n := amended(i)
		g.arrive(n)
		g.lane.Answered(&n.Item, Throttled, false, g.now)
	}
	g.queue = nil
	g.run()
	return g
}

// Flags that change while they are being written are written again.
func TestFlagsChangedWhileBeingWritten(t *testing.T) {
	g := parkedOnDisk(1)
	g.pass(time.Second)
	g.run() // due, and read
	n := g.queue[0]
	if n.ID == 0 || n.Flags.Throttled != 1 {
		t.Fatalf("%+v", n.Item)
	}
	g.lane.Answered(&n.Item, Throttled, false, g.now)
	if !n.dirty() || len(g.begin(1)) != 1 || n.SavedFlags().Throttled != 2 || n.dirty() {
		t.Fatalf("what is being written: %+v of %+v", n.SavedFlags(), n.Flags)
	}
	g.pass(5 * time.Second)
	g.lane.Tend(g.now) // it is due meanwhile, and sent from memory
	if n = g.queue[1]; n.Flags.Attempts != 3 {
		t.Fatalf("%+v", n.Flags)
	}
	g.lane.Answered(&n.Item, Throttled, false, g.now)
	g.disk.put([]*Item{&n.Item})
	if g.lane.Commit(1, false, g.now); !n.dirty() || n.place != chained {
		t.Fatal("it has left memory with flags that are not on disk")
	}
	g.run()
	if f := g.disk.rows[n.ID].flags; f.Throttled != 3 || f.Attempts != 3 || n.place != left {
		t.Errorf("on disk: %+v", f)
	}
}

// An item that could not be written has no flags on disk.
func TestFlagsThatCouldNotBeWritten(t *testing.T) {
	g := parkedOnDisk(1)
	g.pass(time.Second)
	g.run()
	n := g.queue[0]
	g.lane.Answered(&n.Item, Throttled, false, g.now)
	g.begin(1)
	if g.lane.Commit(0, false, g.now); !n.dirty() || len(g.begin(1)) != 0 {
		t.Error("taken for written")
	}
	g.pass(time.Second)
	if g.run(); g.disk.rows[n.ID].flags.Throttled != 2 {
		t.Errorf("on disk: %+v", g.disk.rows[n.ID].flags)
	}
}

// Begin takes at most n items, and at most one more than fits into the bytes.
func TestBeginBounds(t *testing.T) {
	for name, c := range map[string]struct {
		n     int
		bytes int64
		want  int
	}{
		"items":     {3, 1 << 20, 3},
		"bytes":     {10, 2*sizeOf + 1, 3},
		"one byte":  {10, 1, 1},
		"all":       {10, 1 << 20, 5},
		"not twice": {10, 1 << 20, 5},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(Always, nil)
			for i := range 5 {
				g.arrive(&note{device: i})
			}
			if got := len(g.lane.Begin(c.n, c.bytes, g.now)); got != c.want || len(g.begin(5)) != 0 {
				t.Errorf("%d items", got)
			}
		})
	}
}

// While the disk is full, what is already there may be moved, and its flags are written. What is new
// waits in order, until the next try or until something has left the disk.
func TestBeginWhileTheDiskIsFull(t *testing.T) {
	full := func(full bool) *rig {
		g := parkedOnDisk(2)
		g.pass(time.Second)
		g.run() // both are asked again
		for i := range 3 {
			g.lane.Mode = Always // so that they are put
			g.arrive(&note{device: 10 + i})
			g.lane.Mode = Overflow
		}
		if got := devicesOf(g.begin(2)); !slices.Equal(got, []int{10, 11}) {
			t.Fatalf("first %v", got)
		}
		g.lane.Mode = Always // nothing goes from memory
		g.lane.Commit(0, full, g.now)
		return g
	}
	t.Run("moves go", func(t *testing.T) {
		g := full(true)
		for range 2 {
			n := g.queue[0]
			g.queue = g.queue[1:]
			g.lane.Answered(&n.Item, Throttled, false, g.now)
			if g.lane.Next() > int64(g.now.Mono) {
				t.Error("the lane does not ask to write")
			}
			items := g.begin(100)
			if len(items) != 1 || items[0] != &n.Item {
				t.Fatalf("%v", devicesOf(items))
			}
			g.disk.put(items)
			g.lane.Commit(1, false, g.now)
			if len(g.begin(100)) > 0 || g.lane.mayWrite() {
				t.Error("more is to be written")
			}
		}
		g.pass(time.Second)
		if got := devicesOf(g.begin(100)); !slices.Equal(got, []int{10, 11, 12}) {
			t.Errorf("at the next try %v", got)
		}
	})
	t.Run("nothing goes if the disk is broken", func(t *testing.T) {
		g := full(false)
		g.lane.Answered(&g.queue[0].Item, Throttled, false, g.now)
		if got := g.begin(100); len(got) > 0 {
			t.Errorf("%v", devicesOf(got))
		}
	})
	t.Run("all goes when something has left", func(t *testing.T) {
		g := full(true)
		if len(g.begin(100)) > 0 || g.lane.mayWrite() {
			t.Error("there was something to move")
		}
		g.lane.Wake = false
		g.lane.Answered(&g.queue[0].Item, Accepted, true, g.now)
		if !g.lane.Wake || g.lane.Next() > int64(g.now.Mono) {
			t.Error("the lane does not ask to write")
		}
		if got := devicesOf(g.begin(100)); !slices.Equal(got, []int{10, 11, 12}) {
			t.Errorf("%v", got)
		}
		if g.lane.Commit(0, false, g.now); g.lane.mayWrite() {
			t.Error("what has left before a failure lets the disk be tried again at once")
		}
	})
	t.Run("what has left while it was tried lets it be tried again", func(t *testing.T) {
		g := full(true)
		g.pass(time.Second)
		g.begin(100)
		g.lane.Answered(&g.queue[0].Item, Accepted, true, g.now)
		if g.lane.Commit(0, true, g.now); !g.lane.freed || !g.lane.mayWrite() {
			t.Error("it does not")
		}
	})
	t.Run("what has left before it was tried does not", func(t *testing.T) {
		g := full(true)
		g.lane.Answered(&g.queue[0].Item, Accepted, true, g.now)
		g.begin(100)
		if g.lane.Commit(0, true, g.now); g.lane.freed {
			t.Error("it is tried again at once")
		}
	})
	t.Run("what has left a broken disk does not", func(t *testing.T) {
		g := full(true)
		g.pass(time.Second)
		g.begin(100)
		g.lane.Answered(&g.queue[0].Item, Accepted, true, g.now)
		if g.lane.Commit(0, false, g.now); g.lane.mayWrite() {
			t.Error("it is tried again at once")
		}
	})
	t.Run("a success ends it", func(t *testing.T) {
		g := full(true)
		g.pass(time.Second)
		items := g.begin(100)
		g.disk.put(items)
		g.lane.Commit(len(items), false, g.now)
		g.lane.Mode = Overflow
		g.putOnly(&note{device: 20})
		if g.lane.After(func() {}) || len(g.lane.Passed()) > 0 {
			t.Error("what is to be written is taken for what cannot be")
		}
	})
	t.Run("sooner if it is told so", func(t *testing.T) {
		g := full(true)
		g.lane.RetrySoon(g.now.Mono + 10*time.Millisecond)
		g.lane.RetrySoon(g.now.Mono + time.Hour)
		g.lane.Begin(100, 1<<20, g.now)
		if g.lane.Wake = false; g.lane.Next() != int64(g.now.Mono+10*time.Millisecond) {
			t.Errorf("next at %v", time.Duration(g.lane.Next()))
		}
	})
}

// Passed gives what After was given once everything that was put before is on disk or, except with
// Always, cannot be written.
func TestBarriers(t *testing.T) {
	for name, c := range map[string]struct {
		mode    Mode
		written []int // of each commit, of two begun
		want    []string
	}{
		"all is written":                   {Overflow, []int{2, 2}, []string{"", "a", "", "b"}},
		"as far as it is written":          {Overflow, []int{1}, []string{"", "a b"}},
		"with Always, only if it is there": {Always, []int{1, 2}, []string{"", "", "", "a"}},
		"not at all":                       {Always, []int{0}, []string{"", ""}},
		"not at all, but it may go":        {Overflow, []int{0}, []string{"", "a b"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(c.mode, nil)
			g.lane.Mode = Always
			said := ""
			passed := func() (s string) {
				for _, then := range g.lane.Passed() {
					then()
				}
				s, said = said, ""
				return s
			}
			say := func(s string) func() {
				return func() {
					if said != "" {
						said += " "
					}
					said += s
				}
			}
			if !g.lane.After(say("nothing")) {
				t.Error("there is nothing to wait for")
			}
			for i := range 4 {
				if g.arrive(&note{device: i}); i == 1 && g.lane.After(say("a")) || i == 3 && g.lane.After(say("b")) {
					t.Error("it is not on disk")
				}
			}
			g.lane.Mode = c.mode
			var got []string
			for _, k := range c.written {
				items := g.begin(2)
				if g.lane.Unwritten() == 0 {
					t.Error("nothing is unwritten")
				}
				got = append(got, passed())
				g.disk.put(items[:k])
				g.lane.Commit(k, false, g.now)
				got = append(got, passed())
				g.pass(time.Second)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%q", got)
			}
		})
	}
}

// What is being written and nothing else is still to come is waited for.
func TestBarrierBehindABatch(t *testing.T) {
	g := newRig(Always, nil)
	g.arrive(&note{})
	g.begin(1)
	if g.lane.After(func() {}) || len(g.lane.Passed()) > 0 {
		t.Error("it is not on disk")
	}
}

// The disk breaks, or has no room for anything, while what was read of the log is moved to the
// queues of waiting devices: it stays in the log, and everything goes.
func TestCaseBrokenWhileMoved(t *testing.T) {
	for _, m := range []Mode{Overflow, Always} {
		for at := 100 * time.Millisecond; at <= 3*time.Second; at += 100 * time.Millisecond {
			t.Run(fmt.Sprint(m, " after ", at), func(t *testing.T) {
				g := newRig(m, func(*note) Class { return NoConnection })
				for i := range 600 {
					g.arrive(&note{device: i % 30, seq: i / 30})
				}
				g.wait(5 * time.Second)
				g.apns = refuses(30, Throttled)
				g.wait(at)
				g.disk.broken, g.apns = true, refuses(0, Accepted)
				written := len(g.disk.rows)
				g.until(10*time.Minute, func() bool { return g.accepted >= written })
				if g.accepted < written {
					t.Errorf("%d accepted of %d that are on disk: %d are on their way there", g.accepted, written, g.lane.Unwritten())
				}
			})
		}
	}
}
