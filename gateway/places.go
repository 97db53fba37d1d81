package gateway

import (
	"net"
	"time"
)

// take lets a connection in if the bounds allow it.
func (f *front) take(c net.Conn, l labelled) {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		f.log.Error().Str("listener", l.label).Msg("a listener gave a connection that is not TCP")
		c.Close()
		return
	}
	a := newArrival(f, tcp, l)
	switch f.findPlace(a) {
	case tooMany:
		f.counters.overLimit.Add(1)
		f.often.Warn().Stringer("address", a.hello.Remote).
			Int("connections", f.limits.Connections).Msg("no room for another connection")
	case tooManyOfSource:
		a.tooMany()
	case welcome:
		f.counters.accepted.Add(1)
		if f.add(a) {
			a.start()
			return
		}
		f.census.leave(a.place)
	}
	a.cancel()
	c.Close()
}

// findPlace counts a new connection. If there is no place for it, another one has to go:
// one of its own address if that has too many, or else one that can be spared. If admitted
// clients have all places, the new one is let in for its handshake.
func (f *front) findPlace(a *arrival) verdict {
	v := f.census.enter(a.place, false)
	switch {
	case v == tooManyOfSource && f.drop(f.spareOf(a.place.from)):
		f.counters.overLimitPerAddress.Add(1)
		return f.census.enter(a.place, true)
	case v == tooMany && f.makeRoom():
		return f.census.enter(a.place, true)
	case v == tooMany:
		return f.census.enterBeyond(a.place)
	}
	return v
}

// makeRoom ends a connection that can be spared: one that lingers, or a handshake.
func (f *front) makeRoom() bool {
	return f.relieve() || f.drop(f.spare())
}

// makeWay makes a connection of an app with excess give way, and returns its place; nil if there is none.
func (f *front) makeWay(excess map[string]int) *place {
	if p := f.pending.yield(excess); p != nil {
		return p
	}
	return f.yield(excess)
}

// drop drops a, unless it is nil, and reports whether it has.
func (f *front) drop(a *arrival) bool {
	if a == nil {
		return false
	}
	a.drop()
	return true
}

// helloPatience is how long a connection has to say hello while others have no place.
const helloPatience = time.Second

func (f *front) spare() *arrival {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.takeOut(f.crowd.spare(time.Now()))
}

func (f *front) spareOf(from source) *arrival {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.takeOut(f.crowd.spareOf(from, time.Now()))
}

// takeOut gives the arrival of a waiter that was taken out of the crowd; nil for none.
func (f *front) takeOut(w *waiter) *arrival {
	a := f.arrivals[w]
	delete(f.arrivals, w)
	return a
}

func (f *front) add(a *arrival) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.aborted {
		return false
	}
	f.crowd.add(&a.waiter)
	f.arrivals[&a.waiter] = a
	return true
}

// remove takes a off the arrivals that abort closes.
func (f *front) remove(a *arrival) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.crowd.remove(&a.waiter)
	delete(f.arrivals, &a.waiter)
}
