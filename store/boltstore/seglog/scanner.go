package seglog

import (
	"bytes"
	"io"
)

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

// within reports whether g is a part of other: who does not read a file from its beginning
// may come to the second half of one.
func (g gap) within(other gap) bool { return other.at <= g.at && g.at+g.size <= other.at+other.size }

const scanBytes = 1 << 20 // that are read at a time

// next gives the next frame, whose slices are good until the scanner reads again, and
// where it stands. ok is false behind the last.
func (s *scanner) next() (f Frame, at int64, ok bool) {
	from := s.at
	for at = from; s.size-at >= frameFixed; {
		b := s.read(at, frameHead)
		if f, ok = ReadFrame(b, s.salt); ok && at+int64(f.Size) <= s.size {
			s.skip(from, at)
			s.at = at + int64(f.Size)
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
