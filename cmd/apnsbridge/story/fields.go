package story

import (
	"encoding/binary"
	"fmt"
	"time"

	"apnsbridge/binproto"
)

// A Field is a piece of a frame as it stands on the wire, and what it says.
type Field struct{ Bytes, Name, Value string }

// fieldsOf takes a whole frame apart, as Append has written it.
func fieldsOf(frame []byte, now time.Time) []Field {
	r := fieldReader{rest: frame, now: now}
	switch command := binproto.Command(r.number("command", 1, commandNames)); command {
	case binproto.Simple:
		r.tokenAndPayload()
	case binproto.Enhanced:
		r.number("identifier", 4, nil)
		r.expiry()
		r.tokenAndPayload()
	case binproto.Framed:
		r.number("frame length", 4, nil)
		for len(r.rest) > 0 {
			r.item()
		}
	}
	return r.fields
}

var (
	commandNames = map[uint32]string{0: "simple", 1: "enhanced", 2: "framed"}
	itemNames    = map[uint32]string{1: "device token", 2: "payload", 3: "identifier", 4: "expiry", 5: "priority"}
)

type fieldReader struct {
	rest   []byte
	now    time.Time
	fields []Field
}

func (r *fieldReader) take(n int) []byte {
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// number reads an integer of n bytes, which may have a name.
func (r *fieldReader) number(name string, n int, names map[uint32]string) uint32 {
	b := r.take(n)
	value := binary.BigEndian.Uint32(append(make([]byte, 4-n), b...))
	text := fmt.Sprint(value)
	if names[value] != "" {
		text += ", " + names[value]
	}
	r.fields = append(r.fields, Field{fmt.Sprintf("%x", b), name, text})
	return value
}

func (r *fieldReader) expiry() {
	b := r.take(4)
	at := time.Unix(int64(binary.BigEndian.Uint32(b)), 0)
	text := "now or never"
	if left := at.Sub(r.now); left > 0 {
		text = fmt.Sprintf("in %.0f minutes", left.Minutes())
	}
	r.fields = append(r.fields, Field{fmt.Sprintf("%x", b), "expiry", text})
}

func (r *fieldReader) tokenAndPayload() {
	r.token(int(r.number("token length", 2, nil)))
	r.payload(int(r.number("payload length", 2, nil)))
}

func (r *fieldReader) token(n int) {
	b := r.take(n)
	r.fields = append(r.fields, Field{fmt.Sprintf("%.8x…", b), "device token", fmt.Sprintf("%d bytes", n)})
}

func (r *fieldReader) payload(n int) {
	b := r.take(n)
	r.fields = append(r.fields, Field{fmt.Sprintf("%.8x…", b), "payload", string(b)})
}

// item reads an item of a framed notification.
func (r *fieldReader) item() {
	item := r.number("item", 1, itemNames)
	n := int(r.number("item length", 2, nil))
	switch item {
	case 1:
		r.token(n)
	case 2:
		r.payload(n)
	case 4:
		r.expiry()
	default:
		r.number(itemNames[item], n, nil)
	}
}
