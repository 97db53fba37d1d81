package report

import (
	"bytes"
	"fmt"
	"time"

	"apnsbridge/binproto"
)

// Habits are what the frames of a provider's connections have in common, by which old libraries can be told apart. The
// zero value has seen none. It has no lock. Whatever the order is in which connections are merged, they are the same.
type Habits struct {
	Frames     uint64           `json:"frames"`
	Conns      uint64           `json:"connections"` // on which they came
	Command    binproto.Command `json:"command"`     // of the first
	Layout     binproto.Layout  `json:"layout"`      // of framed notifications; where priorities come and go, without one
	Mixed      bool             `json:"mixed"`       // commands, or layouts beyond a priority that comes and goes
	Priorities bool             `json:"priorities"`  // a priority comes and goes
	First      uint32           `json:"first"`       // the lowest identifier that a connection began with
	Highest    uint32           `json:"highest"`     // the highest one
	Counts     bool             `json:"counts"`      // identifiers go up by one
	Same       bool             `json:"same"`        // they are all the same
	Nameless   bool             `json:"nameless"`    // there are none
	Expiry     Expiry           `json:"expiry"`
	MDM        bool             `json:"mdm"` // payloads are {"mdm": …}
	Pace       Pace             `json:"pace"`

	last uint32
}

// Expiry is what a library writes by default.
type Expiry uint8

// The expiries.
const (
	NoExpiry   Expiry = iota // there is no room for one, or it is left out
	ZeroExpiry               // 0: now or never
	IntMax                   // 0x7fffffff, Java's largest int
	UintMax                  // 0xffffffff
	SomeExpiry               // a time, or one now and another then
	OneDay                   // 86400: the seconds of a day, for a time
)

// particular reports whether only one library writes it.
func (e Expiry) particular() bool { return e == IntMax || e == UintMax || e == OneDay }

// See takes a frame that has come at a time. It allocates nothing and keeps nothing of it.
func (h *Habits) See(n *binproto.Notification, at time.Time) {
	named := n.Command == binproto.Enhanced || n.HasIdentifier
	if h.Frames == 0 {
		*h = Habits{Conns: 1, Command: n.Command, Layout: n.Layout, First: n.Identifier, Highest: n.Identifier, Counts: named,
			Same: named, Nameless: !named, Expiry: expiryOf(n), MDM: isMDM(n.Payload)}
	} else {
		h.compare(n, named)
	}
	h.Pace.see(h.Frames, at)
	h.Frames++
	h.last = n.Identifier
}

func (h *Habits) compare(n *binproto.Notification, named bool) {
	if n.Command != h.Command {
		h.Mixed = true
	}
	h.take(n.Layout)
	h.Nameless = h.Nameless && !named
	h.Counts = h.Counts && named && n.Identifier == h.last+1
	h.Same = h.Same && named && n.Identifier == h.last
	h.MDM = h.MDM && isMDM(n.Payload)
	if e := expiryOf(n); e != h.Expiry {
		h.Expiry = SomeExpiry
	}
}

// take compares a layout.
func (h *Habits) take(l binproto.Layout) {
	if l == h.Layout {
		return
	}
	bare := withoutPriority(l)
	if bare != withoutPriority(h.Layout) {
		h.Mixed, h.Layout = true, 0
		return
	}
	h.Priorities, h.Layout = true, bare
}

func withoutPriority(l binproto.Layout) binproto.Layout {
	var room [16]byte
	items := l.AppendItems(room[:0])
	return binproto.LayoutOf(bytes.TrimSuffix(items, []byte{5})...)
}

func expiryOf(n *binproto.Notification) Expiry {
	switch {
	case n.Command == binproto.Simple || n.Command == binproto.Framed && !n.HasExpiry:
		return NoExpiry
	case n.Expiry == 0:
		return ZeroExpiry
	case n.Expiry == 0x7fffffff:
		return IntMax
	case n.Expiry == 0xffffffff:
		return UintMax
	case n.Expiry == 86400:
		return OneDay
	}
	return SomeExpiry
}

func isMDM(payload []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(payload, " "), []byte(`{"mdm"`))
}

// Merge takes what other connections of the same provider were seen to do.
func (h *Habits) Merge(o Habits) {
	if h.Frames == 0 {
		*h = o
		return
	}
	if o.Frames == 0 {
		return
	}
	h.Mixed = h.Mixed || o.Mixed || o.Command != h.Command
	h.Priorities = h.Priorities || o.Priorities
	h.take(o.Layout)
	h.Counts, h.Nameless, h.MDM = h.Counts && o.Counts, h.Nameless && o.Nameless, h.MDM && o.MDM
	h.First, h.Highest = min(h.First, o.First), max(h.Highest, o.Highest)
	h.Same = h.Same && o.Same && h.First == h.Highest
	if o.Expiry != h.Expiry {
		h.Expiry = SomeExpiry
	}
	h.Frames, h.Conns = h.Frames+o.Frames, h.Conns+o.Conns
	h.Pace.merge(o.Pace)
}

// single reports whether each connection is for one notification.
func (h *Habits) single() bool { return h.Frames == h.Conns }

// String says what the frames look like.
func (h *Habits) String() string {
	text := [...]string{"simple", "enhanced", "framed"}[h.Command%3]
	if h.Command == binproto.Framed && !h.Mixed {
		text += fmt.Sprintf(" %v", h.Layout.AppendItems(nil))
	}
	if h.Priorities && !h.Mixed {
		text += " and now and then 5"
	}
	switch {
	case h.Mixed:
		text += ", mixed"
	case h.Nameless:
		text += ", no identifiers"
	case h.Same && h.Frames > 1:
		text += fmt.Sprintf(", identifier always %d", h.First)
	case h.Counts && !h.single():
		text += ", identifiers count"
	}
	return text
}
