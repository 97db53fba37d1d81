package boltstore

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"

	"go.etcd.io/bbolt"

	"apnsbridge/store"
)

// pick is a record of the log that is to be read.
type pick struct {
	id   uint64
	seg  *segment
	off  int64
	size int
}

func (p pick) end() int64 { return p.off + int64(p.size) }

// takeTries is how often files that are read may be written anew meanwhile.
const takeTries = 5

// Take implements store.LineSpool.
func (s *LineSpool) Take(ctx context.Context, l store.Line, limit int, bytes int64) ([]store.LineRecord, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for tries := 1; ; tries++ {
		picks, err := s.pick(l, limit, bytes)
		if len(picks) == 0 {
			return nil, err
		}
		records, err := s.read(picks)
		if err == nil {
			return records, nil
		}
		for _, p := range picks {
			s.Return(l, store.LineKey{ID: p.id})
		}
		if !errors.Is(err, fs.ErrNotExist) || tries == takeTries {
			return nil, err
		}
	}
}

// pick has records be in the caller's hands.
func (s *LineSpool) pick(l store.Line, limit int, most int64) (picks []pick, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, store.ErrClosed
	}
	n := s.known(l)
	if n == nil {
		return nil, nil
	}
again:
	for _, p := range n.sections {
		g := p.seg
		if p.left == p.out || g.last < n.cursor {
			continue
		}
		x := g.index
		if x == nil {
			if err := s.load(g); err != nil {
				return picks, err
			}
			goto again
		}
		s.use(x)
		i, _ := x.place(n.cursor)
		for i = x.free(i); i < len(x.ids); i = x.free(i + 1) {
			if x.sections[i] != p.number {
				continue
			}
			size := int64(x.sizes[i])
			payload := size - int64(frameSize(len(n.name), 0, 0))
			if len(picks) >= limit || len(picks) > 0 && payload > most {
				n.cursor = x.ids[i]
				return picks, nil
			}
			most -= payload
			picks = append(picks, s.out(p, i))
		}
		n.cursor = g.last + 1
	}
	return picks, nil
}

// out has the ith record of a segment, of p, be in the caller's hands.
func (s *LineSpool) out(p *section, i int) pick {
	x := p.seg.index
	x.busy.add(i)
	p.add(0, 1, 0)
	s.held[x.ids[i]] = hand{section: p, line: p.line, size: int64(x.sizes[i])}
	return pick{id: x.ids[i], seg: p.seg, off: int64(x.offs[i]), size: int(x.sizes[i])}
}

const (
	readBytes = 1 << 20 // that are read at once, or one record
	readGap   = 8 << 10 // bytes of others that are read rather than passed over
)

// read reads records of the log, in the order of files.
func (s *LineSpool) read(picks []pick) ([]store.LineRecord, error) {
	records := make([]store.LineRecord, 0, len(picks))
	for len(picks) > 0 {
		n := 1
		for n < len(picks) && picks[n].seg == picks[0].seg {
			n++
		}
		f, err := os.Open(picks[0].seg.path)
		if err != nil {
			return nil, err
		}
		records = s.readFrom(f, picks[:n], records)
		picks = picks[n:]
		f.Close()
	}
	return records, nil
}

// readFrom reads records of one segment.
func (s *LineSpool) readFrom(f *os.File, picks []pick, records []store.LineRecord) []store.LineRecord {
	buf := s.buffers.Get().(*[]byte)
	defer s.buffers.Put(buf)
	for len(picks) > 0 {
		first, n := picks[0], 1
		for n < len(picks) && picks[n].off-picks[n-1].end() <= readGap && picks[n].end()-first.off <= readBytes {
			n++
		}
		size := int(picks[n-1].end() - first.off)
		if cap(*buf) < size {
			*buf = make([]byte, max(size, readBytes/4))
		}
		b := (*buf)[:size]
		if _, err := f.ReadAt(b, first.off); err != nil && n > 1 {
			n, b = 1, b[:first.size] // perhaps others can be read
			_, err = f.ReadAt(b, first.off)
			if err != nil {
				clear(b)
			}
		} else if err != nil {
			clear(b)
		}
		for _, p := range picks[:n] {
			records = append(records, s.recordIn(b[p.off-first.off:][:p.size], p.id, first.seg.name.salt))
		}
		picks = picks[n:]
	}
	return records
}

// recordIn is the record with an ID whose frame is b, broken if it is not.
func (s *LineSpool) recordIn(b []byte, id uint64, salt uint32) store.LineRecord {
	f, ok := readFrame(b, salt)
	r := store.LineRecord{LineKey: store.LineKey{ID: id}, Broken: errBroken}
	if ok && f.id == id {
		r = f.record(b)
	}
	if r.Broken != nil {
		s.foundBroken(b)
	}
	return r
}

// TakeOf implements store.LineSpool.
func (s *LineSpool) TakeOf(ctx context.Context, l store.Line, token []byte, limit int, most int64) (records []store.LineRecord, err error) {
	n := s.known(l)
	if n == nil || !s.Queued(l, token) {
		return nil, errors.Join(ctx.Err(), s.open())
	}
	err = s.viewQueue(ctx, n, queueKey(token, 0), func(c *bbolt.Cursor, key, value []byte) {
		for ; key != nil && len(records) < limit; key, value = c.Next() {
			of, id, ok := splitKey(key)
			if !ok || !bytes.Equal(of, token) {
				return
			}
			payload := int64(len(value) - frameSize(len(n.name), 0, flagsSize))
			if len(records) > 0 && payload > most {
				return
			}
			h := hand{line: n, size: queueBytes(len(token), len(value)), device: s.device(n, token)}
			if !s.hold(id, h) {
				continue
			}
			most -= payload
			r := s.recordIn(value, id, s.salt)
			r.Token, r.Queued = bytes.Clone(of), true
			records = append(records, r)
		}
	})
	if err != nil {
		for _, r := range records {
			s.Return(l, r.LineKey)
		}
		return nil, err
	}
	return records, nil
}

// hold takes a record into hands, unless somebody holds it.
func (s *LineSpool) hold(id uint64, h hand) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, held := s.held[id]; held {
		return false
	}
	s.held[id] = h
	return true
}

func (s *LineSpool) holds(id uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, held := s.held[id]
	return held
}

// viewQueue calls fn with what is in the queues of n from a key on.
func (s *LineSpool) viewQueue(ctx context.Context, n *line, from []byte, fn func(c *bbolt.Cursor, key, value []byte)) error {
	return s.queues.view(ctx, func(tx *bbolt.Tx) error {
		if b := tx.Bucket(queuesBucket).Bucket([]byte(n.name)); b != nil {
			c := b.Cursor()
			key, value := c.Seek(from)
			fn(c, key, value)
		}
		return nil
	})
}

// Devices implements store.LineSpool.
func (s *LineSpool) Devices(ctx context.Context, l store.Line, after []byte, limit int) (devices []store.LineDevice, err error) {
	n := s.known(l)
	if n == nil {
		return nil, errors.Join(ctx.Err(), s.open())
	}
	from := []byte{}
	if after != nil {
		from = queueKey(after, 1<<64-1)
	}
	err = s.viewQueue(ctx, n, from, func(c *bbolt.Cursor, key, _ []byte) {
		for ; key != nil; key, _ = c.Next() {
			token, id, ok := splitKey(key)
			if !ok || s.holds(id) {
				continue
			}
			if last := len(devices) - 1; last >= 0 && bytes.Equal(devices[last].Token, token) {
				devices[last].Records++
				continue
			}
			if len(devices) >= limit {
				return
			}
			devices = append(devices, store.LineDevice{Token: bytes.Clone(token), Records: 1})
		}
	})
	return devices, err
}
