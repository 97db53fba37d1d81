package lane

import "testing"

// path is a lane in Overflow, and a sink that takes everything: the good path is arrival, sending
// and acceptance.
type path struct {
	lane  *Lane
	items [64]Item
	now   Now
	sent  int
}

func (p *path) Send(*Item, bool)    { p.sent++ }
func (p *path) Release(*Item)       {}
func (p *path) Left(*Item)          {}
func (p *path) Ended(*Item, End)    {}
func (p *path) Gone(*Item)          {}
func (p *path) Ruled(*Line, Ruling) {}
func (p *path) Full() bool          { return false }
func (p *path) Roomy() bool         { return true }

func newPath() *path {
	p := &path{now: nowAt(100)}
	g := newRig(Overflow, nil)
	g.lane.Sink, p.lane = p, g.lane
	for i := range p.items {
		p.items[i].Token = token(1_000_000 + i)
	}
	return p
}

// round takes all items through the lane, and reports whether it has let go of each.
func (p *path) round() (gone bool) {
	gone = true
	line := p.lane.lines[0]
	for i := range p.items {
		it := &p.items[i]
		*it = Item{Line: line, Token: it.Token, Size: sizeOf}
		p.lane.Arrive(it, p.now)
	}
	for i := range p.items {
		_, x := p.lane.Answered(&p.items[i], Accepted, true, p.now)
		gone = gone && x
	}
	return gone
}

func TestGoodPathAllocatesNothing(t *testing.T) {
	if raced {
		t.Skip("the race detector has pools lose things")
	}
	p := newPath()
	p.round()
	if n := testing.AllocsPerRun(100, func() {
		if !p.round() {
			t.Error("the lane has not let go of all")
		}
	}); n != 0 {
		t.Errorf("%v allocations for %d notifications", n, len(p.items))
	}
	if p.sent != 102*len(p.items) || len(p.lane.lines[0].devices) > 0 {
		t.Errorf("%d were sent, %d devices are left", p.sent, len(p.lane.lines[0].devices))
	}
}

// BenchmarkGoodPath is what a lane costs a notification that is accepted at once.
func BenchmarkGoodPath(b *testing.B) {
	p := newPath()
	p.round()
	b.ReportAllocs()
	for k := 0; k < b.N; k += len(p.items) {
		p.round()
	}
}
