package boltstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"apnsbridge/store"
)

// A frame is how a record stands on disk, in a segment of the log and as a value
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

type frameKind byte

const (
	logFrame   frameKind = 1
	queueFrame frameKind = 2
	movedFrame frameKind = 3 // in a queue; it was moved there and may stand in the log as well
)

const flagsSize = 8

var (
	magic    = []byte{0xa9, 'P', 'N', 'f'}
	crcTable = crc32.MakeTable(crc32.Castagnoli)

	errBroken = errors.New("store: the record is damaged")
)

// frame is the head of one that was read; its slices are of the bytes read.
type frame struct {
	kind    frameKind
	salt    uint32
	id      uint64
	expires int64
	put     uint32
	size    int // of all of it
	name    []byte
	token   []byte
}

func frameSize(name, token, body int) int { return frameFixed + name + token + body + frameSum }

func appendFrame(b []byte, salt uint32, kind frameKind, name string, put uint32, r *store.SpoolRecord) []byte {
	from, flags := len(b), r.Flags[:]
	if kind == logFrame {
		flags = nil
	}
	b = append(b, magic...)
	b = appendU32(b, salt)
	b = append(b, byte(kind), 0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(name)))
	b = binary.BigEndian.AppendUint16(b, uint16(len(r.Token)))
	b = append(b, 0, 0)
	b = appendU32(b, uint32(len(flags)+len(r.Body)))
	b = appendU64(b, r.ID)
	b = appendU64(b, uint64(r.Expires))
	b = appendU32(b, put)
	b = append(b, 0, 0, 0, 0) // the checksum of the head
	b = append(b, name...)
	b = append(b, r.Token...)
	head := b[from:]
	binary.BigEndian.PutUint32(head[frameFixed-4:], headSum(head))
	at := len(b)
	b = append(b, flags...)
	b = append(b, r.Body...)
	return appendU32(b, crc32.Checksum(b[at:], crcTable))
}

// headSum is the checksum of a frame's head, which ends with its token.
func headSum(head []byte) uint32 {
	sum := crc32.Update(0, crcTable, head[:frameFixed-4])
	return crc32.Update(sum, crcTable, head[frameFixed:])
}

// readFrame reads the head of the frame at the start of b, of which the body may be
// missing. Salt 0 is any.
func readFrame(b []byte, salt uint32) (f frame, ok bool) {
	if len(b) < frameFixed || !bytes.HasPrefix(b, magic) {
		return f, false
	}
	f = frame{kind: frameKind(b[8]), salt: u32(b[4:]), id: u64(b[20:]), expires: int64(u64(b[28:])), put: u32(b[36:])}
	name, token, body := int(binary.BigEndian.Uint16(b[10:])), int(binary.BigEndian.Uint16(b[12:])), int(u32(b[16:]))
	end := frameFixed + name + token
	if salt != 0 && f.salt != salt || f.kind < logFrame || f.kind > movedFrame || name > store.MaxSpoolName+2 ||
		token > store.MaxSpoolToken || body > store.MaxSpoolBody+flagsSize || end > len(b) ||
		f.kind != logFrame && body < flagsSize {
		return f, false
	}
	f.name, f.token, f.size = b[frameFixed:frameFixed+name], b[frameFixed+name:end], frameSize(name, token, body)
	return f, u32(b[frameFixed-4:]) == headSum(b[:end])
}

// record copies the record of f, which stands in b. It is broken if b ends too early
// or the body is damaged.
func (f *frame) record(b []byte) store.SpoolRecord {
	r := store.SpoolRecord{SpoolKey: store.SpoolKey{ID: f.id, Queued: f.kind != logFrame}, Expires: f.expires}
	start := frameFixed + len(f.name) + len(f.token)
	if len(b) < f.size || u32(b[f.size-frameSum:]) != crc32.Checksum(b[start:f.size-frameSum], crcTable) {
		r.Token, r.Broken = bytes.Clone(b[start-len(f.token):start]), errBroken
		return r
	}
	memory := bytes.Clone(b[start-len(f.token) : f.size-frameSum])
	at := len(f.token)
	r.Token, r.Body = memory[:at:at], memory[at:]
	if r.Queued {
		r.Body = r.Body[copy(r.Flags[:], r.Body):]
	}
	return r
}

// scanner finds the frames of a file. It passes over what is none, or cannot be
// read.
type scanner struct {
	from io.ReaderAt
	salt uint32 // 0: any
	size int64
	at   int64 // behind the frame that was found last

	buf   []byte
	start int64 // of buf in the file
	gaps  []gap // bytes between frames, or behind them, that are none
}

type gap struct{ at, size int64 }

const scanBytes = 1 << 20 // that are read at a time

// next gives the next frame, whose slices are good until the scanner reads again, and
// where it stands. ok is false behind the last.
func (s *scanner) next() (f frame, at int64, ok bool) {
	from := s.at
	for at = from; s.size-at >= frameFixed; {
		b := s.read(at, frameHead)
		if f, ok = readFrame(b, s.salt); ok && at+int64(f.size) <= s.size {
			s.skip(from, at)
			s.at = at + int64(f.size)
			return f, at, true
		}
		if skip := bytes.Index(b[1:], magic); skip >= 0 {
			at += int64(1 + skip)
		} else {
			at += int64(max(1, len(b)-len(magic)+1))
		}
	}
	s.skip(from, s.size)
	s.at = s.size
	return f, s.size, false
}

func (s *scanner) skip(from, to int64) {
	if to > from {
		s.gaps = append(s.gaps, gap{from, to - from})
	}
}

// read gives what there is of the file from at on: need bytes at least, or all. They
// are good until it reads again.
func (s *scanner) read(at int64, need int) []byte {
	need = int(min(int64(need), s.size-at))
	if in := at - s.start; in >= 0 && in+int64(need) <= int64(len(s.buf)) {
		return s.buf[in:]
	}
	n := int(min(int64(max(scanBytes, need)), s.size-at))
	if cap(s.buf) < n {
		s.buf = make([]byte, n)
	}
	s.buf, s.start = s.buf[:n], at
	if _, err := s.from.ReadAt(s.buf, at); err != nil {
		s.readPages()
	}
	return s.buf
}

// readPages reads what can be read of a piece that cannot be read as a whole.
func (s *scanner) readPages() {
	const page = 4096
	for at := 0; at < len(s.buf); at += page {
		b := s.buf[at:min(at+page, len(s.buf))]
		if _, err := s.from.ReadAt(b, s.start+int64(at)); err != nil {
			clear(b)
		}
	}
}
