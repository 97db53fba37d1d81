package seglog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"

	"apnsbridge/store"
)

// A Frame is how a record stands on disk, in a segment of the log and as a value
// of queues.db, so that it can be found again in either without what leads there:
//
//	magic · u32 salt · u8 kind · u8 0 · u16 len(name) · u16 len(token) · u16 0 ·
//	u32 len(body) · u64 ID · u64 expires, in seconds · u32 put at, in seconds ·
//	u32 CRC-32C of all this, name and token · name · token · body · u32 CRC-32C of body
//
// Name is the line's three names with a zero byte between them. The body begins with
// the flags, but in the log. The salt is the store's and random: what a provider has
// put into a body is never taken for a frame, though the one around it is damaged.
const (
	frameFixed = 44
	frameSum   = 4 // behind the body
	frameHead  = frameFixed + store.MaxSpoolName + store.MaxSpoolToken
	frameMin   = frameFixed + frameSum
)

// Kind is where a frame stands.
type Kind byte

// The kinds.
const (
	InLog   Kind = 1
	InQueue Kind = 2
	Moved   Kind = 3 // in a queue; it was moved there and may stand in the log as well
)

const flagsSize = 8

var be = binary.BigEndian

var (
	magic    = []byte{0xa9, 'P', 'N', 'f'}
	crcTable = crc32.MakeTable(crc32.Castagnoli)

	// ErrBroken says that a record cannot be read.
	ErrBroken = errors.New("store: the record is damaged")
)

// Frame is the head of one that was read; its slices are of the bytes read.
type Frame struct {
	Kind    Kind
	Salt    uint32
	ID      uint64
	Expires int64
	Put     uint32
	Size    int // of all of it
	Name    []byte
	Token   []byte
}

// FrameSize is how many bytes a record takes in the log, with a name, a token and a body of
// so many.
func FrameSize(name, token, body int) int { return frameFixed + name + token + body + frameSum }

// ValueSize is how many bytes a record would take in the log that is a value of queues.db.
func ValueSize(value []byte) int64 { return int64(max(frameMin, len(value)-flagsSize)) }

// AppendFrame appends the frame of a record that is put at a time.
func AppendFrame(b []byte, salt uint32, kind Kind, name string, put time.Time, r *store.SpoolRecord) []byte {
	from, flags := len(b), r.Flags[:]
	if kind == InLog {
		flags = nil
	}
	b = append(b, magic...)
	b = be.AppendUint32(b, salt)
	b = append(b, byte(kind), 0)
	b = be.AppendUint16(b, uint16(len(name)))
	b = be.AppendUint16(b, uint16(len(r.Token)))
	b = append(b, 0, 0)
	b = be.AppendUint32(b, uint32(len(flags)+len(r.Body)))
	b = be.AppendUint64(b, r.ID)
	b = be.AppendUint64(b, uint64(r.Expires))
	b = be.AppendUint32(b, uint32(max(0, put.Unix())))
	b = append(b, 0, 0, 0, 0) // the checksum of the head
	b = append(b, name...)
	b = append(b, r.Token...)
	head := b[from:]
	be.PutUint32(head[frameFixed-4:], headSum(head))
	at := len(b)
	b = append(b, flags...)
	b = append(b, r.Body...)
	return be.AppendUint32(b, crc32.Checksum(b[at:], crcTable))
}

// headSum is the checksum of a frame's head, which ends with its token.
func headSum(head []byte) uint32 {
	sum := crc32.Update(0, crcTable, head[:frameFixed-4])
	return crc32.Update(sum, crcTable, head[frameFixed:])
}

// ReadFrame reads the head of the frame at the start of b, of which the body may be
// missing. Salt 0 is any.
func ReadFrame(b []byte, salt uint32) (f Frame, ok bool) {
	if len(b) < frameFixed || !bytes.HasPrefix(b, magic) {
		return f, false
	}
	f = Frame{
		Kind: Kind(b[8]), Salt: be.Uint32(b[4:]), ID: be.Uint64(b[20:]),
		Expires: int64(be.Uint64(b[28:])), Put: be.Uint32(b[36:]),
	}
	name, token, body := int(be.Uint16(b[10:])), int(be.Uint16(b[12:])), int(be.Uint32(b[16:]))
	end := frameFixed + name + token
	if salt != 0 && f.Salt != salt || f.Kind < InLog || f.Kind > Moved || name > store.MaxSpoolName+2 ||
		token > store.MaxSpoolToken || body > store.MaxSpoolBody+flagsSize || end > len(b) ||
		f.Kind != InLog && body < flagsSize {
		return f, false
	}
	f.Name, f.Token, f.Size = b[frameFixed:frameFixed+name], b[frameFixed+name:end], FrameSize(name, token, body)
	return f, be.Uint32(b[frameFixed-4:]) == headSum(b[:end])
}

// Record copies the record of f, which stands in b. It is broken if b ends too early
// or the body is damaged.
func (f *Frame) Record(b []byte) store.SpoolRecord {
	r := store.SpoolRecord{SpoolKey: store.SpoolKey{ID: f.ID, Queued: f.Kind != InLog}, Expires: f.Expires}
	start := frameFixed + len(f.Name) + len(f.Token)
	if len(b) < f.Size || be.Uint32(b[f.Size-frameSum:]) != crc32.Checksum(b[start:f.Size-frameSum], crcTable) {
		r.Token, r.Broken = bytes.Clone(b[start-len(f.Token):start]), ErrBroken
		return r
	}
	memory := bytes.Clone(b[start-len(f.Token) : f.Size-frameSum])
	at := len(f.Token)
	r.Token, r.Body = memory[:at:at], memory[at:]
	if r.Queued {
		r.Body = r.Body[copy(r.Flags[:], r.Body):]
	}
	return r
}
