package conversation

import (
	"time"

	"apnsbridge/binproto"
)

// link is one TCP connection between a program and the gateway. Bytes stay in order in each
// direction, and wait in the two kernels, each of which has room for world.kernel frames. A
// write to a side that has closed is answered by a reset: what is still in the program's
// kernel is lost, what is in the gateway's is read.
type link struct {
	w       *world
	latency time.Duration
	arrival time.Duration // when the latest write to the gateway arrives there

	// The program's end.
	packet   func(status binproto.Status, identifier uint32)
	arrived  func(status binproto.Status, identifier uint32) // the packet has reached its kernel
	eof      func()
	halved   bool // it has shut down its writing side
	closed   bool // it has closed the socket
	reads    bool // it reads what comes
	inbox    []func()
	received bool // a packet or FIN
	stalled  bool // TCP has sent something again: once is enough
	pauses   bool // in writing, for longer than the gateway waits for silence
	unsent   []parcel

	// The gateway's end.
	conn   *Conn
	unread []func()
	heard  time.Duration // when the latest of unread came
	bound  time.Duration // until when the gateway reads on before it sends the packet
	parked time.Duration // the gateway does not read until then
	asleep bool          // a read is on the agenda
	told   bool
	acked  bool // the program's kernel has acknowledged the packet
	ended  bool // the program's FIN was read
	gone   bool
}

// parcel is something on its way to the gateway, where it arrives at the time at or later.
type parcel struct {
	at    time.Duration
	do    func()
	frame *content // nil: this is not a frame
}

// dial opens a connection for a program that reads what comes at once, or only
// when it calls read.
func (w *world) dial(reads bool) *link {
	farthest := 60 * time.Millisecond
	if w.near {
		farthest = 20 * time.Millisecond
	}
	l := &link{w: w, latency: w.between(time.Millisecond, farthest), arrival: w.now, reads: reads}
	w.links = append(w.links, l)
	l.toGateway(func() {
		l.conn = w.ledger.Open(w.address, true, w.clock())
		l.conn.Owner = l
	})
	return l
}

// toGateway queues do behind what the program has written so far.
func (l *link) toGateway(do func()) { l.post(parcel{do: do}) }

func (l *link) post(p parcel) {
	w := l.w
	l.arrival = max(l.arrival, w.now+l.latency+w.between(0, l.latency/4))
	if w.harsh && !l.stalled && w.chance(0.005) {
		l.stalled = true
		l.arrival += w.between(0, 3*time.Second) // until TCP sends it again
	}
	p.at = l.arrival
	l.unsent = append(l.unsent, p)
	w.after(l.arrival-w.now, l.readOn)
}

// full reports whether the program's kernel has no room left.
func (l *link) full() bool { return len(l.unsent) >= l.w.kernel }

// carry moves what has arrived into the gateway's kernel, as far as that has room.
func (l *link) carry() {
	for len(l.unsent) > 0 && l.unsent[0].at <= l.w.now && len(l.unread) < l.w.kernel {
		l.unread = append(l.unread, l.unsent[0].do)
		l.unsent, l.heard = l.unsent[1:], l.w.now
	}
}

// readOn lets the gateway read, unless it has parked the connection or its loop
// is busy.
func (l *link) readOn() {
	w := l.w
	for l.carry(); len(l.unread) > 0 && !l.gone; l.carry() {
		if l.conn != nil && !l.conn.Lingers() && l.conn.Len() >= w.window {
			return // until something leaves the window
		}
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
		case w.harsh && l.conn != nil && !l.conn.Lingers() && w.chance(0.02):
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
	l.post(parcel{do: func() { l.take(c, f) }, frame: &c})
}

func (l *link) take(c content, f Frame) {
	w, m := l.w, &message{content: c}
	w.held++
	s, forward := l.conn.Take(m, f, w.clock())
	w.log("%p take %v %v %d: forward %v", l, c, f.HasIdentifier, f.Identifier, forward)
	m.name = tomb{c, f.Identifier}
	name := m.name
	switch {
	case forward && w.graves[name] > 0: // the bridge's tombstones
		w.graves[name]--
		l.conn.Settle(s, Spooled, w.clock())
	case forward:
		w.put[name]++
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

// close ends the connection on the program's side: with a reset if the program has not read
// everything, and a close_notify is often left unread.
func (l *link) close() {
	if l.closed {
		return
	}
	l.closed = true
	w := l.w
	unread := len(l.inbox) > 0 || l.received && w.chance(0.3)
	switch {
	case unread:
		w.log("%p closed, unread, %d of it unsent", l, len(l.unsent))
		l.reset(len(l.inbox) == 0 || l.pauses)
	case !l.halved:
		w.log("%p closed", l)
		l.toGateway(l.end)
	}
}

// reset lets the program's kernel send a reset and throw away the frames that are not on the
// wire yet. The gateway is not to blame for these if the program had its packet: it had read
// it (one that sends again does so), or had paused in writing. Nor is it to blame for frames
// that the network had held up.
func (l *link) reset(had bool) {
	on := 0 // frames on the wire, ahead of the reset
	for on < min(len(l.unsent), l.w.kernel-len(l.unread)) && l.unsent[on].at <= l.w.now+l.latency*5/4 {
		on++
	}
	for _, p := range l.unsent[on:] {
		if stuck := p.at > l.w.now+l.latency*5/4; p.frame != nil && (had || stuck) {
			l.w.excused[*p.frame] = true
			l.w.tellUser(p.frame.user)
		}
	}
	l.unsent = l.unsent[:on]
	l.toGateway(func() { l.finish(false) })
}

// breaks lets the network reset the connection: both sides lose what is in flight.
func (l *link) breaks() {
	l.closed, l.unread, l.unsent = true, nil, nil
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
	l.parked = 0      // from now on the gateway does not stop reading
	l.heard = l.w.now // silence is counted from now
	l.bound = l.w.now + 10*time.Second
	if e := l.conn.episode; e != nil && e.habit.resends {
		l.bound = l.w.now + time.Second
	}
	l.readOn()
	l.speak(status, identifier)
}

// speak sends the packet once the program is silent, and none to one that has ended
// its side.
func (l *link) speak(status binproto.Status, identifier uint32) {
	const silent = 50 * time.Millisecond
	w := l.w
	switch {
	case l.gone:
	case l.ended:
		l.told = true
		l.finish(false)
		w.obey()
	case w.now >= l.bound || len(l.unread) == 0 && w.now-l.heard >= silent:
		l.send(func() { l.packet(status, identifier) }, func() { l.arrived(status, identifier) })
	default:
		w.after(silent, func() { l.speak(status, identifier) })
	}
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
			l.reset(false)
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

// read hands the program what has arrived.
func (l *link) read() {
	for len(l.inbox) > 0 && !l.closed {
		do := l.inbox[0]
		l.inbox = l.inbox[1:]
		do()
	}
}
