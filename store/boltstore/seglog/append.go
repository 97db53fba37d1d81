package seglog

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"sort"
	"time"

	"apnsbridge/store"
)

// Batch is what is appended together, durably or not at all.
type Batch struct {
	Records iter.Seq2[*Tally, *store.SpoolRecord]
	First   uint64 // no ID is lower
	Bytes   int64  // of frames

	written bool
	err     error
}

const maxCommit = 16 << 20 // bytes from which Batches wait for the next commit

// Announce has b wait to be written, in the order in which IDs were given. Commit must
// follow.
func (l *Log) Announce(b *Batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.size += b.Bytes
	l.pending = append(l.pending, b)
}

// Commit writes b. Who gets to it first writes what others have announced too. What is
// written is checked out.
func (l *Log) Commit(b *Batch) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	for !b.written {
		l.commit()
	}
	return b.err
}

// commit writes what waits, durably or not at all, and what is done. The caller has
// l.writing.
func (l *Log) commit() {
	l.mu.Lock()
	n, size := 0, int64(0)
	for ; n < len(l.pending) && (n == 0 || size < maxCommit); n++ {
		size += l.pending[n].Bytes
	}
	batches := l.pending[:n:n]
	l.pending = l.pending[n:]
	l.mu.Unlock()
	l.writeMarks() // or later: nothing is lost by that
	now := l.Now()
	g, err := l.segmentFor(batches[0].First, now)
	if err == nil {
		err = l.write(g, batches, now)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range batches {
		if b.written, b.err = true, err; err == nil {
			g.appended(b)
		} else {
			l.size -= b.Bytes
		}
	}
}

// write appends batches to g.
func (l *Log) write(g *segment, batches []*Batch, now time.Time) error {
	b := l.buf[:0]
	for _, batch := range batches {
		for t, r := range batch.Records {
			b = AppendFrame(b, l.Salt, InLog, t.Name, now, r)
		}
	}
	if l.buf = b; cap(b) > maxCommit/4 {
		l.buf = nil
	}
	_, err := l.file.WriteAt(b, g.Size)
	synced := true
	if err == nil {
		err = l.file.Sync()
		synced = err == nil
	}
	l.Note(err, int64(len(b)))
	if err == nil {
		return nil
	}
	// What of it is there must not be found later; and after a failed fsync a file is
	// not to be trusted.
	if cut := l.file.Truncate(g.Size); cut != nil || !synced {
		l.roll()
	}
	return fmt.Errorf("%s: %w", g.path, err)
}

// appended says that b is in g, and in its caller's hands.
func (g *segment) appended(b *Batch) {
	next := g.name.first
	if g.Size > 0 {
		next = g.Last + 1
	}
	for t, r := range b.Records {
		for ; next < r.ID; next++ { // it went to a queue, or could not be written
			g.left.add(g.bit(next))
		}
		next++
		size := int64(FrameSize(len(t.Name), len(r.Token), len(r.Body)))
		g.found(r.ID, g.Size)
		g.Size += size
		g.Last = r.ID
		g.expires(r.Expires)
		g.add(t, 1, size)
		t.Waiting.Add(-1) // last, so that never fewer seem to wait than do
	}
}

// segmentFor is the segment to append to, from an ID on.
func (l *Log) segmentFor(first uint64, now time.Time) (*segment, error) {
	if err := l.keepRoom(); err != nil {
		return nil, err
	}
	if g := l.current; g != nil && g.Size < l.Segment && first-g.name.first < maxSegmentIDs && isAt(l.file, g.path) {
		return g, nil
	}
	l.roll()
	g := newSegment(l.Dir, Name{first: first, salt: l.Salt})
	g.Put = max(1, now.Unix())
	f, err := os.OpenFile(g.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err == nil {
		if err = syncDir(l.Dir); err != nil {
			err = errors.Join(err, f.Close(), os.Remove(g.path))
		}
	}
	if err != nil {
		l.Note(err, 0)
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.file, l.current = f, g
	l.segments = append(l.segments, g)
	return g, nil
}

// isAt reports whether a file that is open is what others find at path: one that has been
// removed takes with it what is appended.
func isAt(f *os.File, path string) bool {
	ours, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(ours, there)
}

// Roll ends the current segment, if there is one: nothing is appended to it any more.
func (l *Log) Roll() {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.roll()
}

// roll is Roll for who has l.writing.
func (l *Log) roll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current != nil {
		l.file.Close()
		l.file, l.current = nil, nil
	}
}

// segment is the one in which the record of the log with an ID is, if it is in one.
func (l *Log) segment(id uint64) *segment {
	if at := l.behind(id); at < len(l.segments) && l.segments[at].name.first <= id {
		return l.segments[at]
	}
	return nil
}

// behind is the place of the first segment that ends with an ID or a higher one.
func (l *Log) behind(id uint64) int {
	return sort.Search(len(l.segments), func(i int) bool { return l.segments[i].Last >= id })
}

// syncDir makes durable that a file has another name.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
