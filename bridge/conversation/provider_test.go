package conversation

import (
	"slices"
	"time"

	"apnsbridge/binproto"
)

// naming is how a library names its notifications.
type naming uint8

const (
	counting   naming = iota // 1, 2, … through the life of the program
	fromZero                 // 0, 1, … on each connection
	fromOne                  // 1, 2, … on each connection
	random                   // a random one, which it keeps
	zero                     // always 0
	byUser                   // the number of the user
	databaseID               // growing, with gaps
	nameless                 // command 0
	anew                     // counted through the life of the program, a new one each time it is written
	anything                 // a new random one each time it is written
)

// resending is where a library puts what it sends again.
type resending uint8

const (
	nowhere resending = iota // it never sends again
	atFront                  // ahead of what it has yet to send
	atEnd
	intoOldSocket // as long as it is open
	inRounds      // into the old socket again and again, and then on a new one
)

// library is the part of a habit that a few settings describe.
type library struct {
	naming    naming
	resending resending
	delay     time.Duration // before it sends again
	inclusive bool          // it sends the failed one again too, three times in all
	cache     int           // how many it keeps to send again; 0 is all
	pool      int           // connections in use at once; 0 is one
	batch     int           // it reads nothing until it has written this many, and then ends the connection
	deaf      bool          // it reads nothing at all
	halves    bool          // it shuts down its writing side behind a batch, and then reads
	single    bool          // a connection for each message
	lingers   bool          // it acts on the end of the connection, not on the packet
	pace      time.Duration // the longest gap between two messages; 0 is 4 ms
	steady    bool          // without pauses between them
	mixed     bool          // every third frame has another layout
	offset    uint32        // of the counter: this many were sent before
}

// program is a provider at work with its library.
type program struct {
	w       *world
	library library
	queue   []*letter
	history []*letter // all letters that were written, once each, in order
	sockets []*socket
	turn    int
	counter uint32
	busy    bool
	paused  bool
	delayed int // tails that will be sent again later
}

// letter is a notification as its program sees it.
type letter struct {
	content content
	id      uint32
	named   bool
	written bool
	tries   int
}

// socket is a connection as its program sees it.
type socket struct {
	link  *link
	sent  []*letter
	next  uint32
	dead  bool // nothing more will be written to it
	heard bool // its error has been acted upon
}

func (p *program) enqueue(c content) {
	p.w.want[c]++
	p.queue = append(p.queue, &letter{content: c})
	p.wake()
}

func (p *program) wake() {
	if !p.busy && !p.paused {
		p.busy = true
		p.w.after(0, p.pump)
	}
}

// pump writes the next notification, and goes on in a while.
func (p *program) pump() {
	p.busy = false
	if p.paused || len(p.queue) == 0 {
		return
	}
	if p.w.down {
		p.pauseFor(time.Second)
		return
	}
	s := p.socket()
	if s.link.full() {
		p.busy = true
		p.w.after(5*time.Millisecond, p.pump)
		return
	}
	x := p.queue[0]
	p.queue = p.queue[1:]
	p.write(s, x)
	switch batch := p.library.batch; {
	case p.library.single:
		s.dead = true
		p.w.after(p.w.between(200*time.Millisecond, time.Second), func() { s.link.read(); s.link.close() })
	case batch > 0 && (len(s.sent) == batch || len(p.queue) == 0):
		p.finishBatch(s)
		return
	}
	p.busy = true
	pace := p.library.pace
	if pace == 0 {
		pace = 4 * time.Millisecond
	}
	gap := p.w.between(0, pace)
	if !p.library.steady && p.w.chance(0.02) {
		gap = p.w.between(0, 2*time.Second)
	}
	p.w.after(gap, p.pump)
}

func (p *program) pauseFor(d time.Duration) {
	p.paused = true
	p.w.after(d, func() { p.paused = false; p.wake() })
}

// finishBatch looks for an error once the batch is written.
func (p *program) finishBatch(s *socket) {
	s.dead = true
	if p.library.deaf {
		s.link.close()
		p.pauseFor(p.w.between(time.Second, 20*time.Second))
		return
	}
	if p.library.halves {
		s.link.halve()
	}
	wait := p.w.between(time.Second, 6*time.Second)
	p.pauseFor(wait + 10*time.Millisecond)
	p.w.after(wait, func() { s.link.read(); s.link.close() })
}

func (p *program) socket() *socket {
	p.sockets = slices.DeleteFunc(p.sockets, func(s *socket) bool { return s.dead || s.link.closed })
	if len(p.sockets) < max(p.library.pool, 1) {
		p.sockets = append(p.sockets, p.open())
	}
	p.turn++
	return p.sockets[p.turn%len(p.sockets)]
}

func (p *program) open() *socket {
	lib := p.library
	s := &socket{link: p.w.dial(lib.batch == 0 && !lib.deaf && !lib.single)}
	if lib.naming == fromOne {
		s.next = 1
	}
	s.link.pauses = !lib.steady
	s.link.arrived = func(status binproto.Status, id uint32) {
		if i := s.named(s.sent, id); i >= 0 && status == binproto.InvalidToken {
			p.w.tellUser(s.sent[i].content.user)
		}
	}
	s.link.packet = func(status binproto.Status, id uint32) {
		if lib.lingers {
			s.link.eof = func() { p.fail(s, status, id) }
			return
		}
		p.fail(s, status, id)
	}
	s.link.eof = func() { p.shut(s) }
	return s
}

// shut closes a connection that the gateway has ended.
func (p *program) shut(s *socket) {
	s.dead = true
	p.w.after(p.w.between(0, 20*time.Millisecond), s.link.close)
}

// named returns the index of the first known letter with the identifier id, or -1.
func (s *socket) named(known []*letter, id uint32) int {
	return slices.IndexFunc(known, func(x *letter) bool { return x.id == id })
}

// write names x and sends it on s.
func (p *program) write(s *socket, x *letter) {
	f := Frame{Expiry: NoExpiry, HasIdentifier: true, Command: binproto.Enhanced}
	switch p.library.naming {
	case fromZero, fromOne:
		x.id = s.next
		s.next++
	case byUser:
		x.id = x.content.user
	case zero:
	case anew:
		x.id = p.name()
	case anything:
		x.id = p.w.rng.Uint32()
	case nameless:
		f.HasIdentifier, f.Command = false, binproto.Simple
	default:
		if !x.named {
			x.id = p.name()
		}
	}
	if !x.written {
		x.written = true
		p.history = append(p.history, x)
	}
	x.named = true
	f.Identifier = x.id
	if p.library.mixed && x.content.payload%3 == 0 {
		f.Layout = otherLayout
	}
	s.sent = append(s.sent, x)
	s.link.write(x.content, f)
}

// name draws the next identifier that does not depend on the connection.
func (p *program) name() uint32 {
	switch p.library.naming {
	case random:
		return p.w.rng.Uint32()
	case databaseID:
		p.counter += 1 + p.w.rng.Uint32N(3)
	default:
		p.counter++
	}
	return p.library.offset + p.counter
}

// otherLayout is the layout of frames with another item.
const otherLayout = 1

// fail is the program's answer to an error response: what it believes was not
// sent is sent again.
func (p *program) fail(s *socket, status binproto.Status, id uint32) {
	if s.heard {
		return
	}
	s.heard = true
	w, lib := p.w, p.library
	known := s.sent
	if lib.cache > 0 {
		known = known[max(0, len(known)-lib.cache):]
	}
	at := s.named(known, id)
	tail := known // all of them, if the failed one is not cached any more
	if at >= 0 {
		tail = known[at+1:]
		if x := known[at]; lib.inclusive && x.tries < 2 {
			x.tries++
			tail = known[at:]
		}
	}
	tail = slices.Clone(tail)
	if lib.resending == intoOldSocket && !s.link.closed {
		// It goes on writing to the old socket until it notices the end.
		for _, x := range tail {
			p.write(s, x)
		}
		return
	}
	if lib.resending == inRounds && !s.link.closed {
		p.rounds(s, tail)
		return
	}
	p.shut(s)
	if lib.resending == nowhere || len(tail) == 0 {
		return
	}
	p.delayed++
	w.after(lib.delay, func() {
		p.delayed--
		if lib.resending == atFront {
			p.queue = append(tail, p.queue...)
		} else {
			p.queue = append(p.queue, tail...)
		}
		p.wake()
	})
}

// rounds writes what stood behind the failed one, and what was written meanwhile, into the
// old socket again and again until it notices the end. Then all of it goes to a new one.
func (p *program) rounds(s *socket, tail []*letter) {
	written := len(s.sent)
	ended := false
	s.link.eof = func() {}
	p.w.after(p.w.between(time.Millisecond, 150*time.Millisecond), func() { ended = true })
	var round func()
	round = func() {
		tail = append(tail, s.sent[written:]...)
		n := len(tail)
		if ended {
			n = p.w.rng.IntN(n + 1) // the end comes in the middle of a round
		}
		for _, x := range tail[:n] {
			again := *x // the library has lost track of what it wrote
			p.write(s, &again)
		}
		written = len(s.sent)
		if !ended {
			p.w.after(p.w.between(time.Millisecond, 30*time.Millisecond), round)
			return
		}
		p.shut(s)
		p.queue = append(slices.Clone(tail), p.queue...)
		p.wake()
	}
	round()
}

// startOver sends everything again that was ever sent, on a new connection.
func (p *program) startOver() {
	for _, s := range p.sockets {
		s.dead = true
		s.link.close() // does nothing if the kill has broken it
	}
	p.queue = slices.DeleteFunc(p.queue, func(x *letter) bool { return x.written })
	p.queue = append(slices.Clone(p.history), p.queue...)
	p.wake()
}

// cut breaks the connections in use. The last ten letters on each are sent again.
func (p *program) cut() {
	for _, s := range p.sockets {
		if s.dead || s.link.closed || s.link.conn == nil {
			continue
		}
		s.dead = true
		s.link.breaks()
		last := slices.Clone(s.sent[max(0, len(s.sent)-10):])
		p.w.after(p.w.between(0, 100*time.Millisecond), func() {
			p.queue = append(last, p.queue...)
			p.wake()
		})
	}
}

// leave closes what is still open, at the end of the program's work.
func (p *program) leave() {
	if len(p.queue) > 0 || p.busy || p.paused || p.delayed > 0 {
		p.w.after(30*time.Second, p.leave)
		return
	}
	for _, s := range p.sockets {
		if !s.link.closed {
			s.dead = true
			s.link.close()
		}
	}
}
