package boltstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"apnsbridge/store"
)

// segment is a file of the log. Frames are appended to one of them, the current;
// the others are sealed: a footer says what they had then.
type segment struct {
	name     segmentName
	path     string
	last     uint64 // the highest ID there is or was
	size     int64  // bytes of frames
	live     int64  // of these, of records that are not done
	left     int    // records that are not done
	soonest  uint32 // when the first of them may expire, in seconds since 1970; 0: none does
	sealed   bool
	gone     bool // nothing of it counts any more
	sections []*section

	index   *index // nil: not in memory
	loading sync.Mutex
	loads   bool     // the index is being read
	since   []uint64 // what was done meanwhile
	renews  bool     // it is being written anew
	renewed []uint64 // what was done meanwhile

	marks  []byte // of what is done, not written yet
	marked int64  // bytes that were written
	dirty  bool   // and not synced
	holes  int    // found so far
}

// section is what a segment has of a line.
type section struct {
	seg    *segment
	line   *line
	number uint16 // in seg.sections
	left   int    // records that are not done
	out    int    // of these, in somebody's hands
	bytes  int64  // of left
	put    uint32 // the first was put then, in seconds since 1970
}

// add counts records that come or, below 0, go.
func (p *section) add(left, out int, bytes int64) {
	p.left += left
	p.out += out
	p.bytes += bytes
	p.seg.left += left
	p.seg.live += bytes
	p.line.log += left
	p.line.waiting.Add(int64(left - out))
	p.line.bytes += bytes
	p.line.share.bytes += bytes
}

// segmentName is what the name of a file says. One that was written anew has the
// range of the IDs of all that it stands for, in case they are still there.
type segmentName struct {
	first, last uint64 // last is 0 if it was not written anew
	generation  int    // how often it was
	salt        uint32
}

const (
	segmentEnd = ".log"
	marksEnd   = ".done"
	newEnd     = ".new" // of a file that is not whole yet
)

func (n segmentName) String() string {
	return fmt.Sprintf("%016x-%x-%d-%08x%s", n.first, n.last, n.generation, n.salt, segmentEnd)
}

func parseSegmentName(s string) (n segmentName, ok bool) {
	_, err := fmt.Sscanf(s, "%x-%x-%d-%x"+segmentEnd, &n.first, &n.last, &n.generation, &n.salt)
	return n, err == nil && n.String() == s
}

// replaces reports whether all that m has is in n.
func (n segmentName) replaces(m segmentName) bool {
	return n.generation > m.generation && n.first <= m.first && m.first <= n.last
}

func (g *segment) marksPath() string { return strings.TrimSuffix(g.path, segmentEnd) + marksEnd }

// remove takes the files away: first the log, since marks without it do no harm.
func (g *segment) remove() error {
	err := os.Remove(g.path)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = os.Remove(g.marksPath())
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// A mark says that a record is done:
//
//	u64 ID · u32 bytes of its frame · u16 number of its section · u16 of the CRC-32C
const markSize = 16

func appendMark(b []byte, id uint64, size uint32, section uint16) []byte {
	b = binary.BigEndian.AppendUint16(appendU32(appendU64(b, id), size), section)
	return binary.BigEndian.AppendUint16(b, uint16(crc32.Checksum(b[len(b)-markSize+2:], crcTable)))
}

// eachMark calls fn for each whole mark in b.
func eachMark(b []byte, fn func(id uint64, size uint32, section uint16)) {
	for ; len(b) >= markSize; b = b[markSize:] {
		if binary.BigEndian.Uint16(b[markSize-2:]) == uint16(crc32.Checksum(b[:markSize-2], crcTable)) {
			fn(u64(b), u32(b[8:]), binary.BigEndian.Uint16(b[12:]))
		}
	}
}

// readMarks gives the marks that were written.
func (g *segment) readMarks() ([]byte, error) {
	b, err := os.ReadFile(g.marksPath())
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return b, err
}

// writeMarks writes marks behind the others. What fails is written again, to the
// same place.
func (g *segment) writeMarks(marks []byte) error {
	f, err := os.OpenFile(g.marksPath(), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(marks, g.marked)
	return errors.Join(err, f.Close())
}

// syncMarks makes the marks durable.
func (g *segment) syncMarks() error {
	f, err := os.Open(g.marksPath())
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// A footer is a frame at the end of a sealed segment, and behind it where it begins:
//
//	u64 last ID · u32 soonest · u32 sections, each: u32 records · u64 bytes · u32 put · u16 len(name) · name
//	u32 bytes of the frame · "seal"
const sealEnd = "seal"

// footer is what g had when all of it was there, as its index says.
func (g *segment) footer() []byte {
	records, bytes := make([]uint32, len(g.sections)), make([]uint64, len(g.sections))
	for i, n := range g.index.sections {
		records[n]++
		bytes[n] += uint64(g.index.sizes[i])
	}
	b := appendU32(appendU32(appendU64(nil, g.last), g.index.soonest()), uint32(len(g.sections)))
	for i, p := range g.sections {
		b = appendU32(appendU64(appendU32(b, records[i]), bytes[i]), p.put)
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(p.line.name))), p.line.name...)
	}
	r := store.LineRecord{LineKey: store.LineKey{ID: g.last}, Body: b}
	b = appendFrame(nil, g.name.salt, footerFrame, "", 0, &r, nil)
	return append(appendU32(b, uint32(len(b))), sealEnd...)
}

// writeFooter writes a footer behind the frames, and cuts what stands there.
func (g *segment) writeFooter(footer []byte) error {
	f, err := os.OpenFile(g.path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if err = f.Truncate(g.size); err == nil {
		_, err = f.WriteAt(footer, g.size)
	}
	return errors.Join(err, f.Close())
}

// sealedSection is what a footer says of a section.
type sealedSection struct {
	name    string
	records int
	bytes   int64
	put     uint32
}

// readFooter says what was in a segment when it was sealed; not ok: there is no
// footer, or it is damaged.
func (g *segment) readFooter(from io.ReaderAt, size int64) (sections []sealedSection, ok bool, err error) {
	end := make([]byte, 8)
	if size < int64(len(end)) {
		return nil, false, nil
	}
	if _, err := from.ReadAt(end, size-int64(len(end))); err != nil {
		return nil, false, err
	}
	at := size - int64(len(end)) - int64(u32(end))
	if string(end[4:]) != sealEnd || at < 0 || u32(end) > footerMax {
		return nil, false, nil
	}
	b := make([]byte, u32(end))
	if _, err := from.ReadAt(b, at); err != nil {
		return nil, false, err
	}
	f, ok := readFrame(b, g.name.salt)
	if !ok || f.kind != footerFrame || f.size != len(b) {
		return nil, false, nil
	}
	if b, ok = f.body(b); !ok {
		return nil, false, nil
	}
	g.last, g.soonest, g.size, g.sealed = u64(b), u32(b[8:]), at, true
	for b = b[16:]; len(b) >= 18; {
		n := 18 + int(binary.BigEndian.Uint16(b[16:]))
		sections = append(sections, sealedSection{string(b[18:n]), int(u32(b)), int64(u64(b[4:])), u32(b[12:])})
		b = b[n:]
	}
	return sections, true, nil
}

// segmentNames are the segments in a directory. What is not whole, or has been
// replaced, is taken away.
func segmentNames(dir string) (names []segmentName, err error) {
	entries, err := os.ReadDir(dir) // in the order of names, which begin with their first IDs
	if err != nil {
		return nil, err
	}
	marks := make(map[string]bool)
	for _, e := range entries {
		switch n, ok := parseSegmentName(e.Name()); {
		case ok:
			names = append(names, n)
		case strings.HasSuffix(e.Name(), newEnd):
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
		case strings.HasSuffix(e.Name(), marksEnd):
			marks[e.Name()] = true
		}
	}
	kept := names[:0]
	for i, n := range names {
		replaced := false
		for _, m := range names[:i] {
			replaced = replaced || m.replaces(n)
		}
		for _, m := range names[i:] {
			replaced = replaced || m.replaces(n)
		}
		g := segment{path: filepath.Join(dir, n.String())}
		delete(marks, filepath.Base(g.marksPath()))
		if replaced {
			err = errors.Join(err, g.remove())
		} else {
			kept = append(kept, n)
		}
	}
	for name := range marks {
		err = errors.Join(err, os.Remove(filepath.Join(dir, name)))
	}
	return kept, err
}
