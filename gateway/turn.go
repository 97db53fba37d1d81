package gateway

import "time"

// grow asks for more room for an incomplete hello.
func (a *arrival) grow(size int) error {
	if a.turn != nil {
		return nil
	}
	more, most := int64(size-a.held), int64(a.front.limits.Connections*helloShare)
	if size <= smallHello {
		if a.front.hellos.Add(more) <= most {
			a.held = size
			return nil
		}
		a.front.hellos.Add(-more)
	}
	return a.enter(false, looks{})
}

// enter waits until the handshake may run.
func (a *arrival) enter(whole bool, is looks) error {
	t := &turn{from: a.place.from, whole: whole, looks: is, owes: a.owes, drop: a.evict}
	t.begin = func() { a.owed.Store(whole) }
	if err := a.front.gate.enter(a.ctx, a.deadline, t); err != nil {
		return err
	}
	a.turn = t
	return nil
}

// evict gives the place of a among the handshakes to another. The connection stays open: a
// stranger that saw it end would be back at once, and ask for the next place.
func (a *arrival) evict() {
	a.evicted.Store(true)
	a.front.counters.dropped.Add(1)
	a.tcp.SetDeadline(time.Unix(1, 0)) // ends the handshake
}

// ignore keeps an evicted connection open until its time for the handshake is over, its
// client ends it, or others need its place among the connections. If its client answers our
// hello after all, the connection is reset at once: with TLS 1.3 the client believes that it
// is connected, and would go on to write what is never read.
func (a *arrival) ignore() {
	const most = 64 << 10
	answered := a.answered.Load()
	if answered && a.owed.Load() { // the answer was read, though the deadline was set before it came
		a.tcp.SetLinger(0)
		return
	}
	a.greeted.Store(false) // its hello does not count any more
	a.answered.Store(false)
	a.wire, a.stream, a.welcome, a.desk, a.turn, a.peers = nil, nil, nil, nil, nil, nil
	a.hello = Hello{Remote: a.hello.Remote, Label: a.hello.Label} // the rest is freed
	a.tcp.SetDeadline(a.deadline)
	var buf [64]byte
	for n := 0; n < most && a.ctx.Err() == nil; {
		k, err := a.tcp.Read(buf[:])
		if k > 0 && answered {
			a.tcp.SetLinger(0)
			return
		}
		if n += k; err != nil {
			return
		}
	}
}
