package seglog

import (
	"errors"
	"io/fs"
)

// Found is a record of the log that a reader has come to.
type Found struct {
	Frame
	from *scanner
	at   int64
}

// Bytes are all of its frame, or as much as there is, and good as long as the frame.
func (f *Found) Bytes() []byte {
	b := f.from.read(f.at, f.Size)
	return b[:min(len(b), f.Size)]
}

// Each calls fn with the records of a name from an ID on, done ones among them, until it
// is false, or so many bytes of segments were read. It gives the ID from which to go on.
func (l *Log) Each(t *Tally, id uint64, bytes int64, fn func(*Found) bool) (next uint64, err error) {
	for read := int64(0); read < bytes; {
		g, from, end, last := l.next(t, id)
		if g == nil {
			return id, nil
		}
		var found Found
		on, point := true, from+waypointBytes
		err := l.scan(g, from, end, func(sc *scanner, f Frame, at int64) bool {
			if at >= point {
				l.mu.Lock()
				g.found(f.ID, at)
				l.mu.Unlock()
				point = at + waypointBytes
			}
			if f.ID < id || string(f.Name) != t.Name {
				return true
			}
			if found = (Found{f, sc, at}); fn(&found) {
				id = f.ID + 1
				return true
			}
			id, on = f.ID, false
			return false
		})
		switch {
		case errors.Is(err, fs.ErrNotExist) && l.isGone(g): // it stands elsewhere now
		case err != nil:
			return id, err
		case !on:
			return id, nil
		default:
			id, read = max(id, last+1), read+end-from
		}
	}
	return id, nil
}

// next is the first segment with something of a name that has the ID at or a higher one,
// and which part of it to read for that.
func (l *Log) next(t *Tally, at uint64) (g *segment, from, end int64, last uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, g := range l.segments[l.behind(at):] {
		if g.counts[t].Records > 0 {
			return g, g.before(at), g.Size, g.Last
		}
	}
	return nil, 0, 0, 0
}

func (l *Log) isGone(g *segment) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return g.gone
}
