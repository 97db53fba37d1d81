package conversation

import (
	"time"

	"apnsbridge/binproto"
)

// link is one TCP connection between a program and the gateway. Bytes stay in
// order each way; what is written to a side that has closed is answered by a
// reset.
type link struct {
	w       *world
	latency time.Duration
	arrival time.Duration // of the latest that was written to the gateway

	// The program's end.
	packet   func(status binproto.Status, identifier uint32)
	arrived  func(status binproto.Status, identifier uint32) // in its kernel
	eof      func()
	halved   bool // it has shut down its writing side
	closed   bool // it has closed the socket
	reads    bool // it reads what comes
	inbox    []func()
	received bool // a packet or FIN
	stalled  bool // once is enough

	// The gateway's end.
	conn   *Conn
	unread []func()
	parked time.Duration // unread until then
	asleep bool          // a read is on the agenda
	told   bool
	acked  bool // the program's kernel has acknowledged the packet
	ended  bool // the program's FIN was read
	gone   bool
}

// dial opens a connection for a program that reads what comes at once, or only
// when it calls read.
func (w *world) dial(reads bool) *link {
	l := &link{w: w, latency: w.between(time.Millisecond, 60*time.Millisecond), arrival: w.now, reads: reads}
	w.links = append(w.links, l)
	l.toGateway(func() {
		l.conn = w.ledger.Open(w.address, true, w.clock())
		l.conn.Owner = l
	})
	return l
}

// toGateway puts something behind what the program has written so far.
func (l *link) toGateway(do func()) {
	w := l.w
	l.arrival = max(l.arrival, w.now+l.latency+w.between(0, l.latency/4))
	if w.harsh && !l.stalled && w.chance(0.005) {
		l.stalled = true
		l.arrival += w.between(0, 3*time.Second) // sent again by TCP
	}
	w.after(l.arrival-w.now, func() {
		l.unread = append(l.unread, do)
		l.readOn()
	})
}

// readOn lets the gateway read, unless it has parked the connection or its loop
// is busy.
func (l *link) readOn() {
	w := l.w
	for len(l.unread) > 0 && !l.gone {
		if w.now < l.parked {
			if !l.asleep {
				l.asleep = true
				w.after(l.parked-w.now, func() { l.asleep = false; l.readOn() })
			}
			return
		}
		do := l.unread[0]
		l.unread = l.unread[1:]
		do()
		w.obey()
		switch {
		case w.harsh && !l.told && w.chance(0.02):
			l.parked = w.now + w.between(0, 4*time.Second)
		case w.chance(0.02):
			l.parked = w.now + w.between(0, 30*time.Millisecond)
		}
	}
}

// write sends a frame.
func (l *link) write(c content, f Frame) {
	if l.halved || l.closed {
		panic("written after the end")
	}
	l.toGateway(func() { l.take(c, f) })
}

func (l *link) take(c content, f Frame) {
	w, m := l.w, &message{content: c}
	w.held++
	s, forward := l.conn.Take(m, f, w.clock())
	w.log("%p take %v %v %d: forward %v", l, c, f.HasIdentifier, f.Identifier, forward)
	if forward {
		w.forward(l.conn, s, m)
	}
}

// halve shuts down the writing side.
func (l *link) halve() {
	if l.halved || l.closed {
		return
	}
	l.halved = true
	l.toGateway(l.end)
}

// close ends the connection on the program's side. What it has not read makes a
// reset of it, and a close_notify often is not.
func (l *link) close() {
	if l.closed {
		return
	}
	l.closed = true
	w := l.w
	unread := len(l.inbox) > 0 || l.received && w.chance(0.3)
	switch {
	case unread:
		w.log("%p closed, unread", l)
		l.toGateway(func() { l.finish(false) })
	case !l.halved:
		w.log("%p closed", l)
		l.toGateway(l.end)
	}
}

// breaks lets the network reset the connection: both sides lose what is on its
// way.
func (l *link) breaks() {
	l.closed, l.unread = true, nil
	l.finish(false)
}

// end is the program's FIN, read by the gateway.
func (l *link) end() {
	l.ended = true
	l.w.log("%p ended, heard %v", l, l.acked)
	l.conn.Ended(l.acked, l.w.clock())
	l.w.obey()
	if l.acked {
		l.finish(true)
	}
}

// finish is the end of the connection as the gateway sees it.
func (l *link) finish(heard bool) {
	if l.gone {
		return
	}
	l.gone = true
	if l.conn != nil {
		l.w.log("%p gone, heard %v", l, heard)
		l.conn.Closed(heard, l.w.clock())
	}
}

// sendPacket writes the six bytes and the gateway's FIN.
func (l *link) sendPacket(status binproto.Status, identifier uint32) {
	l.w.log("%p packet %d %d", l, status, identifier)
	l.parked = 0 // once a packet is out, the gateway does not stop reading
	l.send(func() { l.packet(status, identifier) }, func() { l.arrived(status, identifier) })
	l.readOn()
}

// sendClose writes the gateway's FIN alone.
func (l *link) sendClose() {
	l.w.log("%p close", l)
	l.send(nil, func() {})
}

func (l *link) send(packet, arrived func()) {
	if l.told {
		l.w.wrong = "a second packet or close"
		return
	}
	l.told = true
	w := l.w
	if packet == nil && l.ended {
		l.finish(true)
		return
	}
	w.after(l.latency+w.between(0, 2*time.Millisecond), func() {
		if l.closed {
			l.toGateway(func() { l.finish(false) })
			return
		}
		arrived()
		l.received = true
		w.after(l.latency, func() {
			l.acked = true
			if l.ended {
				l.finish(true)
			}
		})
		if packet != nil {
			l.inbox = append(l.inbox, packet)
		}
		l.inbox = append(l.inbox, func() { l.eof() })
		if l.reads {
			l.read()
		}
	})
}

// read gives the program what has come.
func (l *link) read() {
	for len(l.inbox) > 0 && !l.closed {
		do := l.inbox[0]
		l.inbox = l.inbox[1:]
		do()
	}
}
