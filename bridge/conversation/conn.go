package conversation

import (
	"net/netip"
	"time"

	"apnsbridge/binproto"
)

// Conn is the conversation with a provider on one connection: its window, and
// what its client's ledger knows. See the package comment for its events.
//
// After the connection has gone a Conn lives on until all that was taken is
// settled.
type Conn struct {
	Owner any // for the owner, to find its own session from a Decision

	ledger  *Ledger
	number  uint64 // counted from 1
	address netip.Addr
	tells   telling
	hushed  bool
	phase   phase
	window  Window[slot]
	before  slot // the latest to leave the window, with its content
	spared  bool // the content of before was given back, and
	key     key  // is its key
	opened  instant

	last     name    // of the latest frame
	latest   instant // when it came
	frames   uint64  // taken or refused at parsing
	expected uint32
	numbered bool // identifiers first, first+1, … from 0 or 1

	passed []uint32 // identifiers of notifications that may have failed untold
	owed   int      // refused notifications in the window that are to be reported at the head
	stuck  instant  // when the heads in front of them are to be taken over
	listed bool     // in the ledger's list of such connections

	episode  *episode // behind the packet, while the connection lasts
	newest   *entry   // the latest of episode
	previous *glimpse
	run      sequence
}

// phase is how far a conversation has come. It only grows.
type phase uint8

const (
	talking   phase = iota
	readingOn       // read on even if the window is full: the provider has ended its side, or the gateway ends
	ended           // by the provider, which was told nothing and will not be
	told            // a Packet or Close was decided on, or the connection is gone
)

// telling is which failures are told by packets.
type telling uint8

const (
	tellNone      telling = iota
	tellMalformed         // failures that are not about a bad token
	tellAll
)

// slot is a notification in the window.
type slot struct {
	content Content
	entry   *entry   // is given this notification's verdict
	follows *entry   // this notification waits for its verdict
	refusal *refusal // if that is the outcome
	taken   instant
	order   uint64  // among all the client's frames
	waits   instant // if refused: until when it waits for the heads before it
	frame   Frame
	outcome Outcome
	repeats bool // it has the identifier of the frame before it
}

// Open begins the conversation on a new connection from address. The address is zero where
// it cannot distinguish programs. If report is set, bad tokens are told by packets; otherwise
// they go to the feedback list and the connection goes on.
func (l *Ledger) Open(address netip.Addr, report bool, now time.Time) *Conn {
	l.conns++
	c := &Conn{
		ledger: l, number: l.conns, address: address, tells: tellMalformed, opened: l.at(now),
		numbered: true, stuck: never, previous: new(glimpse),
	}
	if report {
		c.tells = tellAll
	}
	return c
}

// Mute makes the conversation do without packets, whatever fails. It has to be called
// before the first frame.
func (c *Conn) Mute() { c.tells = tellNone }

// Hush makes the conversation do without packets from now on, or, with on false, go on as
// it was opened. A packet that was decided on before is not taken back.
func (c *Conn) Hush(on bool, now time.Time) {
	if c.hushed = on; on {
		c.oweNothing()
		c.advance(c.ledger.at(now))
	}
}

// Remembers reports whether frames that still come are remembered, because they stand
// behind a packet.
func (c *Conn) Remembers() bool { return c.episode != nil && c.episode.stage == reading }

// Len is the number of notifications in the window.
func (c *Conn) Len() int { return c.window.Len() }

// Settled reports whether the notification at s has its verdict, be it by being taken
// over.
func (c *Conn) Settled(s Seq) bool { return c.window.Settled(s) }

// Lingers reports whether frames that still arrive are to be taken without waiting for
// room in the window: our side has ended or is about to, or the provider's has.
func (c *Conn) Lingers() bool { return c.phase != talking }

// ReadOn lets the connection be read without waiting for room in the window: its provider
// has ended its side after what is still unread, or Shutdown follows.
func (c *Conn) ReadOn() { c.phase = max(c.phase, readingOn) }

// Open reports whether frames may still come, and the end was not decided on yet.
func (c *Conn) Open() bool { return c.phase < ended }

// Latest is when the latest frame came, or, without one, when the connection was opened.
func (c *Conn) Latest() time.Time { return c.ledger.epoch.Add(max(c.opened, c.latest)) }

// Take puts a notification behind all others. It reports whether the owner is to forward
// it and Settle it. If not, it was recognised as one that was sent again, and the ledger
// settles it.
func (c *Conn) Take(v Content, f Frame, now time.Time) (s Seq, forward bool) {
	l := c.ledger
	t := l.at(now)
	s = c.arrive(v, f, t)
	if len(l.episodes) == 0 {
		return s, true
	}
	return s, c.recognise(s, t)
}

// Reject takes a frame that was refused at parsing with status, in its place in the stream.
func (c *Conn) Reject(f Frame, status binproto.Status, now time.Time) {
	t := c.ledger.at(now)
	s := c.arrive(nil, f, t)
	if len(c.ledger.episodes) > 0 {
		h := c.ledger.habit(c.kind(f))
		isStale := c.previous.isNothingNew() // it may have stood behind a failure too
		c.noticeList(key{}, true, h, t)
		c.previous.stale = isStale
		h.seen = t
	}
	c.settle(s, verdict{refusedOutcome, &refusal{status: status}}, t)
}

// arrive gives a frame its place in the window.
func (c *Conn) arrive(v Content, f Frame, t instant) Seq {
	c.ledger.frames++
	n := name{f.Identifier, f.HasIdentifier}
	repeats := f.HasIdentifier && c.last == n
	c.last, c.latest = n, t
	if c.numbered {
		if c.frames == 0 {
			c.expected = min(f.Identifier, 1)
		}
		c.numbered = f.HasIdentifier && f.Identifier == c.expected
		c.expected++
	}
	c.frames++
	s, x := c.window.Take()
	x.content, x.frame, x.taken, x.order, x.repeats = v, f, t, c.ledger.frames, repeats
	return s
}

// Ended says that the provider has ended its side, or that its stream cannot be read
// further: nothing more will be taken. A provider that was told nothing by then will not
// be: if it still reads, it cannot be told from one that is gone. heard says that a
// packet had been written, and that the provider's kernel had acknowledged it by then.
func (c *Conn) Ended(heard bool, now time.Time) {
	t := c.ledger.at(now)
	if c.phase < ended {
		c.phase = ended
		c.oweNothing() // what it is not told goes to the feedback list
	}
	if c.episode != nil {
		c.ledger.close(c.episode, heard, t)
	}
	c.advance(t)
}

// Closed says that the connection is gone. heard says that a packet that was written
// after Ended, or had not been acknowledged then, has been acknowledged since, and that
// the provider has not reset the connection. Without a packet it says that the end was
// orderly.
func (c *Conn) Closed(heard bool, now time.Time) {
	l, t := c.ledger, c.ledger.at(now)
	switch e := c.episode; {
	case e != nil:
		c.episode, c.newest = nil, nil
		l.detach(e, heard, t)
	case c.phase < ended && !heard:
		c.broken(t)
	}
	c.phase = told
	c.oweNothing()
	c.run, c.previous = sequence{}, new(glimpse)
	c.advance(t)
	if c.window.Len() == 0 {
		c.release(c.window.Tail(), &slot{})
	}
}

// kind is the kind of provider that writes frames like f on c.
func (c *Conn) kind(f Frame) Kind {
	return Kind{Address: c.address, Layout: f.Layout, Command: f.Command}
}

// constant reports whether the notification at s, in the window or the last to leave it,
// has the identifier of a neighbour, so that the identifier does not name one frame.
func (c *Conn) constant(s Seq, x *slot) bool {
	if x.repeats {
		return true
	}
	return s+1 < c.window.Tail() && c.window.At(s+1).repeats
}
