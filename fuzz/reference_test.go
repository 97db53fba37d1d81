package fuzz

import (
	"bytes"
	"encoding/binary"
	"io"
	"math"
	"slices"
	"strings"
)

// frame is what a provider said, in the protocol's own terms. It shares no code
// with binproto: a mistake has to be made twice to stay unseen.
type frame struct {
	size       int // bytes
	command    byte
	token      string
	payload    string
	identifier *uint32
	expiry     *uint32
	priority   byte
	items      []byte
	unknown    int // items
	status     byte
}

// outcome is what a decoder makes of the start of a stream.
type outcome int

const (
	good     outcome = iota // frame.status says how good
	short                   // frame.size is the least it will have
	unusable                // nobody can say where the next frame begins
)

// decode reads one frame as Apple's documents lay it out, by the rules for odd
// input that the bridge has made its own.
func decode(stream []byte) (frame, outcome) {
	r := bytes.NewReader(stream)
	var f frame
	if err := binary.Read(r, binary.BigEndian, &f.command); err != nil {
		return frame{size: 1}, short
	}
	switch f.command {
	case 0, 1:
		return decodeFields(f, r)
	case 2:
		return decodeItems(f, r)
	}
	return frame{}, unusable
}

func decodeFields(f frame, r *bytes.Reader) (frame, outcome) {
	least := 1 + 2 + 2
	if f.command == 1 {
		least += 4 + 4
		f.identifier, f.expiry = new(uint32), new(uint32)
		if binary.Read(r, binary.BigEndian, f.identifier) != nil || binary.Read(r, binary.BigEndian, f.expiry) != nil {
			return frame{size: least}, short
		}
	}
	var data [2][]byte
	for i := range data {
		var length uint16
		if binary.Read(r, binary.BigEndian, &length) != nil {
			return frame{size: least}, short
		}
		least += int(length)
		data[i] = make([]byte, length)
		if _, err := io.ReadFull(r, data[i]); err != nil {
			return frame{size: least}, short
		}
	}
	f.size, f.token, f.payload = least, string(data[0]), string(data[1])
	return judge(f, false), good
}

func decodeItems(f frame, r *bytes.Reader) (frame, outcome) {
	var length uint32
	if binary.Read(r, binary.BigEndian, &length) != nil {
		return frame{size: 5}, short
	}
	if length > 256<<10 {
		return frame{}, unusable
	}
	f.size = 1 + 4 + int(length)
	body := make([]byte, length)
	if _, err := io.ReadFull(r, body); err != nil {
		return frame{size: f.size}, short
	}
	bad := false
	for len(body) > 0 {
		if len(body) < 3 || len(body) < 3+int(body[1])*256+int(body[2]) {
			return frame{}, unusable
		}
		id, size := body[0], int(body[1])*256+int(body[2])
		data := body[3 : 3+size]
		body = body[3+size:]
		switch {
		case (id == 1 || id == 2) && slices.Contains(f.items, id):
			bad = true
		case id == 1:
			f.token = string(data)
		case id == 2:
			f.payload = string(data)
		case (id == 3 || id == 4) && size != 4, id == 5 && size != 1:
			bad = true
		case id == 3:
			f.identifier = number(data)
		case id == 4:
			f.expiry = number(data)
		case id == 5:
			f.priority = data[0]
		default:
			f.unknown++
		}
		f.items = append(f.items, id)
	}
	return judge(f, bad), good
}

func number(b []byte) *uint32 {
	n := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	return &n
}

// judge finds what is wrong: the items first, then the token, then the payload.
func judge(f frame, bad bool) frame {
	f.payload = strings.TrimSuffix(f.payload, "\x00")
	switch {
	case bad:
		f.status = 255
	case f.token == "":
		f.status = 2
	case len(f.token) < 32 || len(f.token) > 100:
		f.status = 5
	case f.payload == "":
		f.status = 4
	case len(f.payload) > 4096:
		f.status = 7
	}
	if f.status != 0 {
		f.token, f.payload = "", ""
	}
	f.unknown = min(f.unknown, math.MaxUint16) // as far as anybody counts
	return f
}
