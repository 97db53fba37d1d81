package seglog

import (
	"errors"
	"hash/crc32"
	"io/fs"
	"os"
	"syscall"
)

// bitmap is a set of small numbers.
type bitmap []uint64

func (m bitmap) has(i int) bool { return i >= 0 && i/64 < len(m) && m[i/64]&(1<<(i%64)) != 0 }

func (m *bitmap) add(i int) {
	if need := i/64 + 1; need > len(*m) {
		*m = append(*m, make(bitmap, need-len(*m))...)
	}
	(*m)[i/64] |= 1 << (i % 64)
}

// join adds what is in other, whose first word is m's at.
func (m *bitmap) join(other bitmap, at int) {
	*m = append(*m, make(bitmap, max(0, at+len(other)-len(*m)))...)
	for i, word := range other {
		(*m)[at+i] |= word
	}
}

// without is m without what is in other, nil if nothing is left.
func (m bitmap) without(other bitmap) bitmap {
	left := false
	for i := range m {
		if i < len(other) {
			m[i] &^= other[i]
		}
		left = left || m[i] != 0
	}
	if !left {
		return nil
	}
	return m
}

// Marks say what is done: u64 word of the bitmap · u32 CRC-32C of it · u32 0, in the
// order of words. A disk writes all of one or nothing.
const markSize = 16

func appendMark(b []byte, word uint64) []byte {
	b = be.AppendUint64(b, word)
	return append(be.AppendUint32(b, crc32.Checksum(b[len(b)-8:], crcTable)), 0, 0, 0, 0)
}

// readMarks gives what is done of the segment at path.
func readMarks(path string) (done bitmap, err error) {
	b, err := os.ReadFile(beside(path, marksEnd))
	// What the disk does not give is done again.
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.EIO) {
		return nil, err
	}
	for ; len(b) >= markSize; b = b[markSize:] {
		if word := be.Uint64(b); be.Uint32(b[8:]) == crc32.Checksum(b[:8], crcTable) {
			done = append(done, word)
		} else {
			done = append(done, 0)
		}
	}
	return done, nil
}

// writeMarks writes words of done to their place, which is that of the word from.
func writeMarks(path string, words bitmap, from int) error {
	f, err := os.OpenFile(beside(path, marksEnd), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	b := make([]byte, 0, len(words)*markSize)
	for _, word := range words {
		b = appendMark(b, word)
	}
	_, err = f.WriteAt(b, int64(from)*markSize)
	return errors.Join(err, f.Close())
}

// syncMarks makes durable what was written.
func syncMarks(path string) error {
	f, err := os.Open(beside(path, marksEnd))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
