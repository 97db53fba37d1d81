package binproto

import (
	"encoding/binary"
	"errors"
	"math"
)

// ErrShort says that the bytes end within a frame: read more and ask again.
var ErrShort = errors.New("binproto: frame is not complete")

// ErrLarge says that the bytes end within a frame of more than Ordinary bytes,
// which is not worth a buffer: give it to a Large.
var ErrLarge = errors.New("binproto: frame is larger than an ordinary one")

// Ordinary is the size in bytes up to which a frame is worth buffering until
// it is complete. A frame with the largest payload that APNs takes has 5,251.
const Ordinary = 8 << 10

// A Violation is something after which it cannot be said where the next frame
// begins. The connection has to end.
type Violation uint8

// What a provider can do to make its stream unreadable.
const (
	UnknownCommand Violation = iota + 1 // a frame that begins with neither 0, 1 nor 2
	ItemOverrun                         // an item that goes on behind its frame's end
	FrameTooLong                        // a framed notification over Parser.MaxFrame
)

// Error names the violation.
func (v Violation) Error() string {
	switch v {
	case UnknownCommand:
		return "binproto: unknown command"
	case ItemOverrun:
		return "binproto: item runs over the end of its frame"
	case FrameTooLong:
		return "binproto: frame is too long"
	}
	return "binproto: violation"
}

// Parser holds the bounds within which frames are accepted, in bytes. It is a
// plain value without state.
type Parser struct {
	MinToken   int
	MaxToken   int
	MaxPayload int // after the one trailing NUL is gone
	MaxFrame   int // of the items of a framed notification; more is a Violation
}

// DefaultParser accepts what APNs accepts: tokens of 32 to 100 bytes and
// payloads of up to 4096. Apple's old limits of 256 and 2048 are history.
func DefaultParser() Parser {
	return Parser{MinToken: 32, MaxToken: 100, MaxPayload: 4096, MaxFrame: 256 << 10}
}

// Parse reads the frame at the start of b into n, whatever n held before.
//
//	size > 0, nil        the frame is good and has size bytes; n borrows from b
//	size > 0, a Status   the frame is refused, the next one begins behind size bytes
//	0, ErrShort          b ends within the frame
//	0, ErrLarge          the same, and the frame is not worth a buffer
//	0, a Violation       there is no frame to be found any more
//
// In a refused frame n has what could be read but neither token nor payload.
func (p Parser) Parse(b []byte, n *Notification) (size int, err error) {
	if len(b) == 0 {
		return 0, ErrShort
	}
	*n = Notification{Command: Command(b[0])}
	switch n.Command {
	case Simple:
		return p.parseFields(b, 1, n)
	case Enhanced:
		const fields = 1 + 4 + 4
		if len(b) < fields {
			return 0, ErrShort
		}
		n.setEnhancedHead(b[1:])
		return p.parseFields(b, fields, n)
	case Framed:
		return p.parseFrame(b, n)
	}
	return 0, UnknownCommand
}

// parseFields reads token and payload of commands 0 and 1, which begin at b[at].
func (p Parser) parseFields(b []byte, at int, n *Notification) (int, error) {
	if len(b) < at+2 {
		return 0, ErrShort
	}
	tokenEnd := at + 2 + int(binary.BigEndian.Uint16(b[at:]))
	if len(b) < tokenEnd+2 {
		return 0, shortOf(tokenEnd + 2)
	}
	size := tokenEnd + 2 + int(binary.BigEndian.Uint16(b[tokenEnd:]))
	if len(b) < size {
		return 0, shortOf(size)
	}
	n.Token = b[at+2 : tokenEnd : tokenEnd]
	n.Payload = b[tokenEnd+2 : size : size]
	return size, p.judge(n, false)
}

// parseFrame reads the items of command 2.
func (p Parser) parseFrame(b []byte, n *Notification) (int, error) {
	const head = 1 + 4
	if len(b) < head {
		return 0, ErrShort
	}
	length := int64(binary.BigEndian.Uint32(b[1:]))
	if length > int64(p.MaxFrame) {
		return 0, FrameTooLong
	}
	size := head + int(length)
	if len(b) < size {
		return 0, shortOf(size)
	}
	malformed := false
	for at := head; at < size; {
		if size-at < itemHead {
			return 0, ItemOverrun
		}
		id, end := b[at], at+itemHead+int(binary.BigEndian.Uint16(b[at+1:]))
		if end > size {
			return 0, ItemOverrun
		}
		if !n.setItem(id, b[at+itemHead:end:end]) {
			malformed = true
		}
		at = end
	}
	return size, p.judge(n, malformed)
}

// itemHead is the length of an item's id and length.
const itemHead = 1 + 2

func shortOf(size int) error {
	if size > Ordinary {
		return ErrLarge
	}
	return ErrShort
}

func (n *Notification) setEnhancedHead(b []byte) {
	n.Identifier, n.HasIdentifier = binary.BigEndian.Uint32(b), true
	n.Expiry, n.HasExpiry = binary.BigEndian.Uint32(b[4:]), true
}

// setItem takes one item of a framed notification, and reports whether it is well
// formed: of its proper length, and no second token or payload.
func (n *Notification) setItem(id byte, data []byte) bool {
	n.Layout = n.Layout.with(id)
	switch id {
	case itemToken:
		if n.Token != nil {
			return false
		}
		n.Token = data
	case itemPayload:
		if n.Payload != nil {
			return false
		}
		n.Payload = data
	case itemIdentifier:
		if len(data) != 4 {
			return false
		}
		n.Identifier, n.HasIdentifier = binary.BigEndian.Uint32(data), true
	case itemExpiry:
		if len(data) != 4 {
			return false
		}
		n.Expiry, n.HasExpiry = binary.BigEndian.Uint32(data), true
	case itemPriority:
		if len(data) != 1 {
			return false
		}
		n.Priority = data[0]
	default:
		if n.Skipped < math.MaxUint16 {
			n.Skipped++
		}
	}
	return true
}

// judge strips the trailing NUL and says what is wrong with a complete frame:
// its items first, then its token, then its payload.
func (p Parser) judge(n *Notification, malformed bool) error {
	if last := len(n.Payload) - 1; last >= 0 && n.Payload[last] == 0 {
		n.Payload = n.Payload[:last:last]
	}
	var status Status
	switch {
	case malformed:
		status = Unknown
	case len(n.Token) == 0:
		status = MissingDeviceToken
	case len(n.Token) < p.MinToken || len(n.Token) > p.MaxToken:
		status = InvalidTokenSize
	case len(n.Payload) == 0:
		status = MissingPayload
	case len(n.Payload) > p.MaxPayload:
		status = InvalidPayloadSize
	default:
		return nil
	}
	n.Token, n.Payload = nil, nil
	return status
}
