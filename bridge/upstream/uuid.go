package upstream

import (
	"encoding/binary"
	"math/rand/v2"
)

// UUID is a random UUID of RFC 9562, version 4.
type UUID [16]byte

// NewUUID takes its bits from a generator that the runtime seeds: they need to
// differ, not to be secret.
func NewUUID() (u UUID) {
	binary.BigEndian.PutUint64(u[:8], rand.Uint64()&^0xf000|0x4000)
	binary.BigEndian.PutUint64(u[8:], rand.Uint64()&^(3<<62)|1<<63)
	return u
}

// appendText appends the 36 characters of u.
func (u *UUID) appendText(b []byte) []byte {
	be := binary.BigEndian
	second, third := hexDigits(be.Uint32(u[4:])), hexDigits(be.Uint32(u[8:]))
	b = be.AppendUint64(b, hexDigits(be.Uint32(u[:])))
	b = be.AppendUint32(append(b, '-'), uint32(second>>32))
	b = be.AppendUint32(append(b, '-'), uint32(second))
	b = be.AppendUint32(append(b, '-'), uint32(third>>32))
	b = be.AppendUint32(append(b, '-'), uint32(third))
	return be.AppendUint64(b, hexDigits(be.Uint32(u[12:])))
}

// String is u in its usual form: 36 characters.
func (u UUID) String() string { return string(u.appendText(make([]byte, 0, 36))) }

// hexDigits gives the eight hexadecimal digits of x, the first in the highest byte. Each
// notification has a UUID: at once they take a third of the time that one by one do.
func hexDigits(x uint32) uint64 {
	d := uint64(x) // its half-bytes move apart, until each has a byte
	d = (d<<16 | d) & 0x0000ffff0000ffff
	d = (d<<8 | d) & 0x00ff00ff00ff00ff
	d = (d<<4 | d) & 0x0f0f0f0f0f0f0f0f
	letters := (d + 0x0606060606060606) >> 4 & 0x0101010101010101 // 1 for each that is 10 or more
	return d + 0x3030303030303030 + letters*('a'-'9'-1)
}
