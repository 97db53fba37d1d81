package binproto

import "encoding/binary"

// Tuple is one entry of the feedback stream: a device token and the time at
// which APNs found that the app is no longer on that device.
type Tuple struct {
	Time  uint32 // seconds since 1970
	Token []byte // borrowed by ParseTuple from the bytes it was given
}

// Append appends t to b: 38 bytes with a token of 32. It panics if the token
// does not fit its u16 length.
func (t Tuple) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, t.Time)
	return appendField(b, t.Token)
}

// ParseTuple reads the tuple at the start of b into t and returns its size in
// bytes, or ErrShort if b holds only a part of it.
func ParseTuple(b []byte, t *Tuple) (int, error) {
	const head = 4 + 2
	if len(b) < head {
		return 0, ErrShort
	}
	size := head + int(binary.BigEndian.Uint16(b[4:]))
	if len(b) < size {
		return 0, ErrShort
	}
	t.Time = binary.BigEndian.Uint32(b)
	t.Token = b[head:size:size]
	return size, nil
}
