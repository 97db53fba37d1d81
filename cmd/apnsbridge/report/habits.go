package report

import (
	"bytes"
	"fmt"

	"apnsbridge/binproto"
)

// Habits are what a connection's frames have in common, by which old libraries can be
// told apart. The zero value has seen none. It has no lock.
type Habits struct {
	Frames     uint64           `json:"frames"`
	Command    binproto.Command `json:"command"`    // of the first
	Layout     binproto.Layout  `json:"layout"`     // of the first framed notification
	Mixed      bool             `json:"mixed"`      // commands, or layouts beyond a priority that comes and goes
	Priorities bool             `json:"priorities"` // a priority comes and goes
	First      uint32           `json:"first"`      // identifier
	Counts     bool             `json:"counts"`     // identifiers go up by one
	Same       bool             `json:"same"`       // they are all the same
	Nameless   bool             `json:"nameless"`   // there are none
	Expiry     Expiry           `json:"expiry"`
	MDM        bool             `json:"mdm"` // payloads are {"mdm": …}

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
	SomeExpiry               // a time
)

// See takes a frame. It allocates nothing and keeps nothing of it.
func (h *Habits) See(n *binproto.Notification) {
	named := n.Command == binproto.Enhanced || n.HasIdentifier
	if h.Frames == 0 {
		*h = Habits{Command: n.Command, Layout: n.Layout, First: n.Identifier, Counts: named, Same: named, Nameless: !named,
			Expiry: expiryOf(n), MDM: isMDM(n.Payload)}
	} else {
		h.compare(n, named)
	}
	h.Frames++
	h.last = n.Identifier
}

func (h *Habits) compare(n *binproto.Notification, named bool) {
	switch {
	case n.Command != h.Command:
		h.Mixed = true
	case n.Layout != h.Layout && withoutPriority(n.Layout) == withoutPriority(h.Layout):
		h.Priorities = true
	case n.Layout != h.Layout:
		h.Mixed = true
	}
	h.Nameless = h.Nameless && !named
	h.Counts = h.Counts && named && n.Identifier == h.last+1
	h.Same = h.Same && named && n.Identifier == h.last
	h.MDM = h.MDM && isMDM(n.Payload)
	if e := expiryOf(n); e != h.Expiry {
		h.Expiry = SomeExpiry
	}
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
	}
	return SomeExpiry
}

func isMDM(payload []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(payload, " "), []byte(`{"mdm"`))
}

// Merge takes what another connection of the same provider was seen to do, a later one.
func (h *Habits) Merge(o Habits) {
	if h.Frames == 0 {
		*h = o
		return
	}
	h.Frames += o.Frames
	h.Mixed = h.Mixed || o.Mixed || o.Command != h.Command || withoutPriority(o.Layout) != withoutPriority(h.Layout)
	h.Priorities = h.Priorities || o.Priorities || o.Layout != h.Layout
	h.Counts, h.Same, h.Nameless, h.MDM = h.Counts && o.Counts, h.Same && o.Same, h.Nameless && o.Nameless, h.MDM && o.MDM
	if o.First > h.First { // a counter that goes on from one connection to the next
		h.First = o.First
	}
	if o.Expiry != h.Expiry {
		h.Expiry = SomeExpiry
	}
}

// String says what the frames look like.
func (h *Habits) String() string {
	text := [...]string{"simple", "enhanced", "framed"}[h.Command%3]
	if h.Command == binproto.Framed {
		text += fmt.Sprintf(" %v", h.Layout.AppendItems(nil))
	}
	switch {
	case h.Mixed:
		text += ", mixed"
	case h.Nameless:
		text += ", no identifiers"
	case h.Same && h.Frames > 1:
		text += fmt.Sprintf(", identifier always %d", h.First)
	case h.Counts:
		text += ", identifiers count"
	}
	return text
}
