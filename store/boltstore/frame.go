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
// Name is the line's three names with a zero byte between them. The salt is the
// store's and random: what a provider has put into a body is never taken for a
// frame, though the one around it is damaged.
const (
	frameFixed = 44
	frameSum   = 4 // behind the body
	frameHead  = frameFixed + store.MaxSpoolName + store.MaxSpoolToken
	frameMin   = frameFixed + frameSum
	footerMax  = 32 << 20 // bytes of the body of a footer
)

type frameKind byte

const (
	logFrame    frameKind = 1
	queueFrame  frameKind = 2 // its body begins with the flags
	footerFrame frameKind = 3
)

const flagsSize = 8

var (
	magic    = []byte{0xa9, 'P', 'N', 'f'}
	crcTable = crc32.MakeTable(crc32.Castagnoli)

	errBroken = errors.New("store: the record is damaged")
)

// frame is one that was read; its slices are of the bytes read.
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

// appendFrame appends a frame whose body is of two parts.
func appendFrame(b []byte, salt uint32, kind frameKind, name string, put uint32,
	r *store.SpoolRecord, flags []byte,
) []byte {
	from := len(b)
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
	at := len(b)
	b = append(b, 0, 0, 0, 0)
	b = append(b, name...)
	b = append(b, r.Token...)
	binary.BigEndian.PutUint32(b[at:], headSum(b[from:]))
	at = len(b)
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
	most := store.MaxSpoolBody + flagsSize
	if f.kind == footerFrame {
		most = footerMax
	}
	if salt != 0 && f.salt != salt || f.kind < logFrame || f.kind > footerFrame || name > store.MaxSpoolName+2 ||
		token > store.MaxSpoolToken || body > most || end > len(b) || f.kind == queueFrame && body < flagsSize {
		return f, false
	}
	f.name, f.token, f.size = b[frameFixed:frameFixed+name], b[frameFixed+name:end], frameSize(name, token, body)
	return f, u32(b[40:]) == headSum(b[:end])
}

// bytes are those of a frame that next has given, until it is called again.
func (s *scanner) bytes(at int64, size int) []byte {
	end := s.at
	s.at = at
	b := s.window(size)
	s.at = end
	return b[:min(size, len(b))]
}

// body is that of f, which stands in b; not ok: it is damaged.
func (f *frame) body(b []byte) (body []byte, ok bool) {
	if len(b) < f.size {
		return nil, false
	}
	body = b[frameFixed+len(f.name)+len(f.token) : f.size-frameSum]
	return body, u32(b[f.size-frameSum:]) == crc32.Checksum(body, crcTable)
}

// record copies the record of a frame in b.
func (f *frame) record(b []byte) store.SpoolRecord {
	r := store.SpoolRecord{SpoolKey: store.SpoolKey{ID: f.id, Queued: f.kind == queueFrame}, Expires: f.expires}
	body, ok := f.body(b)
	if !ok {
		r.Token, r.Broken = bytes.Clone(f.token), errBroken
		return r
	}
	if r.Queued {
		body = body[copy(r.Flags[:], body):]
	}
	memory := append(append(make([]byte, 0, len(f.token)+len(body)), f.token...), body...)
	at := len(f.token)
	r.Token, r.Body = memory[:at:at], memory[at:]
	return r
}

// scanner finds the frames of a file. It passes over what is none, or cannot be
// read.
type scanner struct {
	from io.ReaderAt
	salt uint32 // 0: any
	size int64
	at   int64

	buf   []byte
	start int64 // of buf in the file
	gaps  []gap // bytes between frames that are none
}

type gap struct{ at, size int64 }

const scanBytes = 1 << 20 // that are read at a time

// next gives the next frame, whose slices are good until the call after it, and
// where it stands. ok is false behind the last.
func (s *scanner) next() (f frame, at int64, ok bool) {
	from := s.at
	for s.size-s.at >= frameFixed {
		b := s.window(frameHead)
		if f, ok := readFrame(b, s.salt); ok && s.at+int64(f.size) <= s.size {
			if s.at > from {
				s.gaps = append(s.gaps, gap{from, s.at - from})
			}
			at = s.at
			s.at += int64(f.size)
			return f, at, true
		}
		if skip := bytes.Index(b[1:], magic); skip >= 0 {
			s.at += int64(1 + skip)
		} else {
			s.at += int64(max(1, len(b)-len(magic)+1))
		}
	}
	return f, 0, false
}

// window is what there is of the file from s.at on: need bytes, or all.
func (s *scanner) window(need int) []byte {
	need = int(min(int64(need), s.size-s.at))
	if in := s.at - s.start; in >= 0 && in+int64(need) <= int64(len(s.buf)) {
		return s.buf[in:]
	}
	n := int(min(int64(max(scanBytes, need)), s.size-s.at))
	if cap(s.buf) < n {
		s.buf = make([]byte, n)
	}
	s.buf, s.start = s.buf[:n], s.at
	if _, err := s.from.ReadAt(s.buf, s.at); err != nil {
		s.readPages()
	}
	return s.buf
}

// readPages reads what can be read of a window that cannot be read in one piece.
func (s *scanner) readPages() {
	const page = 4096
	for at := 0; at < len(s.buf); at += page {
		b := s.buf[at:min(at+page, len(s.buf))]
		if _, err := s.from.ReadAt(b, s.start+int64(at)); err != nil {
			clear(b)
		}
	}
}
