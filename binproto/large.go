package binproto

import "encoding/binary"

// Large reads one frame piece by piece and keeps of it only what a good
// notification can have. It is for the frames that Parse calls ErrLarge:
// commands 0 and 1 can declare 131,083 bytes and command 2 a quarter of a MiB,
// of which all but a token and a payload is thrown away as it comes.
//
// A Large is good for one frame.
type Large struct {
	parser    Parser
	note      Notification
	step      step
	item      byte // id of the present item
	malformed bool
	want      int    // bytes of the present field still to come
	room      int    // how many of those are kept; the others are thrown away
	left      int    // bytes of a framed notification behind the present field
	field     int    // where in kept the present field begins
	kept      []byte // never grows over its first capacity: note points into it
}

// step is the field of the frame that is being read.
type step uint8

const (
	stepCommand step = iota
	stepEnhancedHead
	stepTokenLength
	stepToken
	stepPayloadLength
	stepPayload
	stepFrameLength
	stepItemHead
	stepItem
)

// Large returns a reader for one frame within the bounds of p. It holds
// MaxToken + MaxPayload bytes and a few more.
func (p Parser) Large() *Large {
	const longestFixed = 8 // identifier and expiry of command 1
	l := &Large{parser: p, kept: make([]byte, 0, p.tokenRoom()+p.payloadRoom()+longestFixed)}
	l.expect(stepCommand, 1)
	return l
}

// A field that is too long keeps one byte more than is allowed, by which judge
// knows it.
func (p Parser) tokenRoom() int   { return p.MaxToken + 1 }
func (p Parser) payloadRoom() int { return p.MaxPayload + 1 + 1 } // and the NUL

// Feed reads the next bytes of the frame and returns how many of them belong to
// it. Its errors are those of Parse: ErrShort asks for more, nil and a Status
// end the frame, a Violation ends the connection. n is set when the frame ends
// and borrows from l.
func (l *Large) Feed(b []byte, n *Notification) (used int, err error) {
	for {
		m := min(l.want, len(b)-used)
		k := min(l.room, m)
		l.kept = append(l.kept, b[used:used+k]...)
		used += m
		l.want -= m
		l.room -= k
		if l.want > 0 {
			return used, ErrShort
		}
		done, err := l.next(l.kept[l.field:len(l.kept):len(l.kept)])
		if err != nil {
			return used, err
		}
		if done {
			err = l.parser.judge(&l.note, l.malformed)
			*n = l.note
			return used, err
		}
	}
}

// next takes the field that is now complete and decides on the one behind it.
func (l *Large) next(field []byte) (done bool, err error) {
	switch l.step {
	case stepCommand:
		l.note.Command = Command(field[0])
		switch l.note.Command {
		case Simple:
			l.expect(stepTokenLength, 2)
		case Enhanced:
			l.expect(stepEnhancedHead, 8)
		case Framed:
			l.expect(stepFrameLength, 4)
		default:
			return false, UnknownCommand
		}
	case stepEnhancedHead:
		l.note.setEnhancedHead(field)
		l.expect(stepTokenLength, 2)
	case stepTokenLength:
		l.expectData(stepToken, int(binary.BigEndian.Uint16(field)), l.parser.tokenRoom())
	case stepToken:
		l.note.Token = field
		l.field = len(l.kept)
		l.expect(stepPayloadLength, 2)
	case stepPayloadLength:
		l.expectData(stepPayload, int(binary.BigEndian.Uint16(field)), l.parser.payloadRoom())
	case stepPayload:
		l.note.Payload = field
		return true, nil
	case stepFrameLength:
		length := int64(binary.BigEndian.Uint32(field))
		if length > int64(l.parser.MaxFrame) {
			return false, FrameTooLong
		}
		l.left = int(length)
		return l.expectItem()
	case stepItemHead:
		l.item = field[0]
		length := int(binary.BigEndian.Uint16(field[1:]))
		if length > l.left {
			return false, ItemOverrun
		}
		l.left -= length
		l.expectData(stepItem, length, l.itemRoom())
	case stepItem:
		if !l.note.setItem(l.item, field) {
			l.malformed = true
		} else if l.item == itemToken || l.item == itemPayload {
			l.field = len(l.kept)
		}
		return l.expectItem()
	}
	return false, nil
}

// itemRoom is how many bytes of the present item matter.
func (l *Large) itemRoom() int {
	switch {
	case l.item == itemToken && l.note.Token == nil:
		return l.parser.tokenRoom()
	case l.item == itemPayload && l.note.Payload == nil:
		return l.parser.payloadRoom()
	case l.item == itemIdentifier, l.item == itemExpiry, l.item == itemPriority:
		return 4 + 1
	}
	return 0
}

// expectItem goes on to the next item, if the frame has one.
func (l *Large) expectItem() (done bool, err error) {
	if l.left == 0 {
		return true, nil
	}
	if l.left < itemHead {
		return false, ItemOverrun
	}
	l.left -= itemHead
	l.expect(stepItemHead, itemHead)
	return false, nil
}

// expect reads a field of size bytes, all of which are kept until it is complete.
func (l *Large) expect(s step, size int) {
	l.expectData(s, size, size)
}

// expectData reads a field of size bytes, of which the first room are kept.
func (l *Large) expectData(s step, size, room int) {
	l.kept = l.kept[:l.field]
	l.step, l.want, l.room = s, size, room
}
