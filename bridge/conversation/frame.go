package conversation

import (
	"crypto/sha256"
	"math"
	"net/netip"

	"apnsbridge/binproto"
)

// Content is a notification as its owner keeps it. It must stay readable from Take until
// the Release of its place. It is read only while there is something to recognise: as
// long as nothing fails, it never is.
type Content interface {
	Token() []byte
	Payload() []byte
}

// NoExpiry is the Expiry of a frame that names none.
const NoExpiry uint32 = math.MaxUint32

// Frame is what a provider wrote around a notification.
type Frame struct {
	Identifier    uint32
	Expiry        uint32 // seconds since 1970; NoExpiry if the frame names none
	Layout        binproto.Layout
	Command       binproto.Command
	HasIdentifier bool
}

// FrameOf is the frame in which n came. It keeps nothing of n.
func FrameOf(n *binproto.Notification) Frame {
	f := Frame{
		Identifier: n.Identifier, Expiry: NoExpiry, Layout: n.Layout, Command: n.Command, HasIdentifier: n.HasIdentifier,
	}
	if n.HasExpiry {
		f.Expiry = n.Expiry
	}
	return f
}

// name is a frame's identifier, if it has one.
type name struct {
	identifier uint32
	has        bool
}

func (f Frame) name() name { return name{f.Identifier, f.HasIdentifier} }

// Kind is what can be known of the program that wrote a frame: where it runs, and how its
// library lays out a frame. Programs of one kind are taken for the same.
type Kind struct {
	Address netip.Addr
	Layout  binproto.Layout
	Command binproto.Command
}

// key stands for a notification's token and payload. It is a hash without a seed, so that
// it means the same after a restart.
type key [16]byte

// keyOf hashes c. It is nil for a frame that was refused at parsing: all of those have the
// same key. scratch is room for token and payload.
func keyOf(c Content, scratch []byte) (k key, room []byte) {
	if c == nil {
		return k, scratch
	}
	room = append(append(scratch[:0], c.Token()...), c.Payload()...)
	sum := sha256.Sum256(room)
	return key(sum[:len(k)]), room
}
