package seglog

import (
	"cmp"
	"errors"
	"os"
	"slices"

	"apnsbridge/store"
)

// Salvaged is a record that was found in a file that is not the log's.
type Salvaged struct {
	id      uint64
	at      int64
	size    int
	salt    uint32
	expires int64
	whole   bool
	Used    bool // what stands there is in use, as far as the file tells
}

// Losses count what was found, and is not to be saved.
type Losses struct{ Done, Expired, Broken int }

// ErrNoFrames says that a file has nothing that Salvage knows.
var ErrNoFrames = errors.New("there is no frame in it")

// Salvage finds the records in a file, in the order of IDs: of the frames those with the
// salt that most have, since what a provider has put into a body is not many. Those of a
// segment, which has a name, are done as the marks beside it say. inUse
// tells whether what stands somewhere in the file is in use, and whether that is sure.
func Salvage(
	f *os.File, size int64, name Name, now int64, inUse func(at int64) (used, sure bool),
) (list []Salvaged, lost Losses, err error) {
	salts, salt := make(map[uint32]int), uint32(0)
	sc := scanner{from: f, size: size}
	for frame, at, ok := sc.next(); ok; frame, at, ok = sc.next() {
		if salts[frame.Salt]++; salts[frame.Salt] > salts[salt] {
			salt = frame.Salt
		}
		if used, sure := inUse(at); used || !sure {
			whole := frame.Record(sc.read(at, frame.Size)).Broken == nil
			list = append(list, Salvaged{frame.ID, at, frame.Size, frame.Salt, frame.Expires, whole, used})
		}
	}
	if len(salts) == 0 {
		return nil, lost, ErrNoFrames
	}
	g := segment{name: name}
	if name != (Name{}) {
		if g.done, err = readMarks(f.Name()); err != nil {
			return nil, lost, err
		}
	}
	list = slices.DeleteFunc(list, func(r Salvaged) bool {
		switch {
		case r.salt != salt:
			return true
		case !r.whole:
			lost.Broken++
		case g.isDone(r.id):
			lost.Done++
		case r.expires != 0 && r.expires <= now:
			lost.Expired++
		default:
			return false
		}
		return true
	})
	slices.SortStableFunc(list, func(a, b Salvaged) int {
		if a.id == b.id && a.Used != b.Used {
			return map[bool]int{true: -1, false: 1}[a.Used]
		}
		return cmp.Compare(a.id, b.id)
	})
	return slices.CompactFunc(list, func(a, b Salvaged) bool { return a.id == b.id }), lost, nil
}

// Read reads the record, without its ID, the name under which it stood, and how many bytes
// it takes.
func (r *Salvaged) Read(f *os.File) (record store.SpoolRecord, name string, size int, err error) {
	b := make([]byte, r.size)
	if _, err := f.ReadAt(b, r.at); err != nil {
		return record, "", 0, err
	}
	frame, _ := ReadFrame(b, r.salt)
	record = frame.Record(b)
	record.ID = 0
	return record, string(frame.Name), r.size, nil
}
