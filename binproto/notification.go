package binproto

import (
	"encoding/binary"
	"strconv"
)

// Command is the first byte of a frame.
type Command uint8

// The three layouts in which a provider sends a notification.
const (
	Simple   Command = 0
	Enhanced Command = 1
	Framed   Command = 2
)

// The items of a framed notification.
const (
	itemToken      = 1
	itemPayload    = 2
	itemIdentifier = 3 // u32
	itemExpiry     = 4 // u32, seconds since 1970
	itemPriority   = 5 // u8
)

// Notification is what one frame says.
//
// Token and Payload are borrowed: after Parser.Parse they point into the bytes
// that were parsed, after Large.Feed into the Large. Whoever keeps a
// notification longer copies them. In a refused frame both are nil.
type Notification struct {
	Token   []byte
	Payload []byte // as sent, without the one trailing NUL that C programs add

	Identifier uint32 // the provider's own; 0 is as good as any other
	Expiry     uint32 // seconds since 1970; 0 asks for a single attempt
	Layout     Layout // the order of a framed notification's items
	Skipped    uint16 // items with an unknown id; counted to 65,535
	Command    Command
	Priority   uint8 // as sent; 0 if the frame names none

	HasIdentifier bool
	HasExpiry     bool
}

// PushPriority is the priority APNs is asked for: 10, 5 or 1 as the frame says,
// and 10 for anything else.
func (n *Notification) PushPriority() uint8 {
	switch n.Priority {
	case 5, 1:
		return n.Priority
	}
	return 10
}

// Append appends n to b as a frame of n.Command. A framed notification has its
// items in the order of n.Layout, or, where that is empty, those that n has in
// the order of their ids. Append checks nothing, so that a test can send what
// a provider should not; it panics if a field does not fit its u16 length or
// the command is none of the three.
func (n *Notification) Append(b []byte) []byte {
	b = append(b, byte(n.Command))
	switch n.Command {
	case Enhanced:
		b = binary.BigEndian.AppendUint32(b, n.Identifier)
		b = binary.BigEndian.AppendUint32(b, n.Expiry)
		fallthrough
	case Simple:
		b = appendField(b, n.Token)
		return appendField(b, n.Payload)
	case Framed:
		start := len(b)
		b = n.appendItems(append(b, 0, 0, 0, 0))
		binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-4))
		return b
	}
	panic("binproto: no frame has command " + strconv.Itoa(int(n.Command)))
}

func (n *Notification) appendItems(b []byte) []byte {
	layout := n.Layout
	if layout == 0 {
		layout = n.defaultLayout()
	}
	for ; layout != 0; layout >>= layoutBits {
		id := byte(layout & layoutMask)
		b = append(b, id)
		switch id {
		case itemToken:
			b = appendField(b, n.Token)
		case itemPayload:
			b = appendField(b, n.Payload)
		case itemIdentifier:
			b = binary.BigEndian.AppendUint32(append(b, 0, 4), n.Identifier)
		case itemExpiry:
			b = binary.BigEndian.AppendUint32(append(b, 0, 4), n.Expiry)
		case itemPriority:
			b = append(b, 0, 1, n.Priority)
		default:
			b = append(b, 0, 0)
		}
	}
	return b
}

func (n *Notification) defaultLayout() Layout {
	layout := LayoutOf(itemToken, itemPayload)
	if n.HasIdentifier {
		layout = layout.with(itemIdentifier)
	}
	if n.HasExpiry {
		layout = layout.with(itemExpiry)
	}
	if n.Priority != 0 {
		layout = layout.with(itemPriority)
	}
	return layout
}

// appendField appends data behind its u16 length.
func appendField(b, data []byte) []byte {
	if len(data) > 0xffff {
		panic("binproto: " + strconv.Itoa(len(data)) + " bytes do not fit a u16 length")
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
	return append(b, data...)
}
