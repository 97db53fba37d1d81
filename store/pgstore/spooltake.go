package pgstore

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"

	"apnsbridge/store"
)

// readRows is how many rows of a log are read at once.
const readRows = 64

// picked is a record that is being checked out.
type picked struct {
	batch *batch
	i     int
}

// Take implements store.Spool.
func (s *Spool) Take(ctx context.Context, name store.Line, limit int, size int64) (list []store.SpoolRecord,
	err error) {
	l, err := s.holdLine(ctx, name)
	if l == nil || err != nil {
		return nil, err
	}
	defer l.release()
	left := size
	for more := true; more && len(list) < limit; {
		var page []store.SpoolRecord
		if page, left, more, err = s.takePage(ctx, l, limit-len(list), left, len(list) == 0); err != nil {
			s.Return(name, keysOf(list)...)
			return nil, err
		}
		list = append(list, page...)
	}
	return list, nil
}

func keysOf(list []store.SpoolRecord) (keys []store.SpoolKey) {
	for _, r := range list {
		keys = append(keys, r.SpoolKey)
	}
	return keys
}

// holdLine returns the line of that name, held; nil if there is none.
func (s *Spool) holdLine(ctx context.Context, name store.Line) (*line, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	l := s.lines[name]
	s.mu.Unlock()
	if l == nil {
		return nil, nil
	}
	return l, l.hold(ctx)
}

// takePage takes the first waiting records, from at most readRows rows: up to limit records
// and size bytes; if first is set, the first record may exceed size. left is what is left of
// size, and more reports whether there may be more to take.
func (s *Spool) takePage(ctx context.Context, l *line, limit int, size int64, first bool) (list []store.SpoolRecord,
	left int64, more bool, err error) {
	rows := s.waitingRows(l, limit)
	if len(rows) == 0 {
		return nil, size, false, nil
	}
	heads, err := s.readHeads(ctx, l, rows)
	if err != nil {
		return nil, size, false, err
	}
	var take []picked
	more = true
	s.mu.Lock()
	for _, b := range rows {
		for i := 0; i < b.records && more; i++ {
			if !b.waits(i) {
				continue
			}
			if h := heads[b.first]; h != nil {
				n := int64(len(h[i].token) + h[i].body)
				if n > size && !(first && len(take) == 0) {
					more = false
					break
				}
				size -= n
			}
			b.take(i)
			l.waiting--
			take = append(take, picked{b, i})
			more = len(take) < limit
		}
	}
	s.mu.Unlock()
	list, err = s.readBodies(ctx, l, take, heads)
	return list, size, more, err
}

// waitingRows returns the first rows of the log in which records wait, as many as are needed for
// limit records.
func (s *Spool) waitingRows(l *line, limit int) (rows []*batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range l.log {
		if limit <= 0 || len(rows) == readRows {
			break
		}
		if n := b.waiting(); n > 0 {
			rows = append(rows, b)
			limit -= n
		}
	}
	return rows
}

// sampleRecords is how many records of a log Sample looks at.
const sampleRecords = 100_000

// Sample implements store.Spool.
func (s *Spool) Sample(ctx context.Context, name store.Line, limit int,
	free func(token []byte) bool) ([]store.SpoolRecord, error) {
	l, err := s.holdLine(ctx, name)
	if l == nil || err != nil {
		return nil, err
	}
	defer l.release()
	s.mu.Lock()
	var rows []*batch
	left := sampleRecords
	for _, b := range l.log {
		if left > 0 && b.ended < b.records {
			rows = append(rows, b)
			left -= b.records - b.ended
		}
	}
	s.mu.Unlock()
	heads, err := s.readHeads(ctx, l, rows)
	if err != nil {
		return nil, err
	}
	var firsts []picked
	seen := make(map[string]bool)
	s.mu.Lock()
	for _, b := range rows {
		for i, h := range heads[b.first] {
			if !b.gone.has(i) && !seen[string(h.token)] {
				seen[string(h.token)] = true
				firsts = append(firsts, picked{b, i})
			}
		}
	}
	s.mu.Unlock()
	rand.Shuffle(len(firsts), func(i, j int) { firsts[i], firsts[j] = firsts[j], firsts[i] })
	var take []picked
	for _, p := range firsts {
		if len(take) >= limit {
			break
		}
		if !free(heads[p.batch.first][p.i].token) {
			continue
		}
		s.mu.Lock()
		if p.batch.waits(p.i) {
			p.batch.take(p.i)
			l.waiting--
			take = append(take, p)
		}
		s.mu.Unlock()
	}
	slices.SortFunc(take, func(a, b picked) int {
		return cmp.Or(cmp.Compare(a.batch.first, b.batch.first), cmp.Compare(a.i, b.i))
	})
	return s.readBodies(ctx, l, take, heads)
}
