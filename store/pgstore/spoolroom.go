package pgstore

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"apnsbridge/bridge/defaults"
	"apnsbridge/store"
)

// Each app has a part of the bytes of its own, which no other uses: as in boltstore.
const (
	ownFraction = 256
	ownShares   = 16
)

// spoolBounds are how many bytes the apps of this node may take.
type spoolBounds struct {
	total   int64
	common  int64 // of total, for apps that go beyond their own part
	own     int64
	reserve int64 // beyond total, for moves only
	device  int64 // for one device's queue, once half of total is used
}

func newSpoolBounds(c Config) spoolBounds {
	own := c.SpoolBytes / ownFraction
	b := spoolBounds{total: c.SpoolBytes, common: c.SpoolBytes - ownShares*own, own: own, reserve: c.SpoolReserve,
		device: c.SpoolBytes / 100 * defaults.SpoolDeviceShare}
	return b
}

// room reports whether there is room for a put.
func (s *Spool) room(p *put) error {
	fresh, moved := int64(0), int64(0)
	within := true
	byApp := make(map[*ownedApp]int64)
	for _, w := range p.lines {
		fresh += w.fresh
		moved += w.moved
		byApp[w.line.app] += w.fresh + w.moved
	}
	for a, bytes := range byApp {
		within = within && a.bytes+bytes <= s.bounds.own
	}
	switch {
	case fresh+moved == 0:
		return nil
	case s.total+fresh+moved > s.bounds.total+s.bounds.reserve:
		return store.ErrSpoolFull
	case fresh > 0 && !within && s.total+fresh > s.bounds.common:
		return store.ErrSpoolFull
	case s.total+fresh <= s.bounds.total/2:
		return nil
	}
	for _, w := range p.lines {
		for token, bytes := range w.byDevice {
			if d := w.line.devices[token]; d != nil {
				bytes += d.bytes
			}
			if bytes > s.bounds.device {
				return store.ErrDeviceFull
			}
		}
	}
	return nil
}

// sweepEach is how often sweep looks for expired records at most.
const sweepEach = time.Second

// sweep ends records that have expired and are not checked out, in the lines of p, which are
// held, and in other lines that are not busy.
func (s *Spool) sweep(ctx context.Context, p *put) error {
	mine := make(map[*line]bool)
	for _, w := range p.lines {
		mine[w.line] = true
	}
	now := s.now()
	s.mu.Lock()
	if now.Sub(s.swept).Abs() < sweepEach {
		s.mu.Unlock()
		return nil
	}
	s.swept = now
	var lines []*line
	for _, l := range s.lines {
		if !mine[l] {
			select {
			case l.busy <- struct{}{}:
			default:
				continue
			}
		}
		lines = append(lines, l)
	}
	s.mu.Unlock()
	var failed error
	for _, l := range lines {
		if failed == nil {
			failed = s.sweepLog(ctx, l, now.Unix())
		}
		if failed == nil {
			failed = s.sweepQueues(ctx, l, now.Unix())
		}
		if !mine[l] {
			l.release()
		}
	}
	return failed
}

func (s *Spool) sweepLog(ctx context.Context, l *line, now int64) error {
	s.mu.Lock()
	var due []*batch
	for _, b := range l.log {
		if b.soonest != 0 && b.soonest <= now && b.ended < b.records {
			due = append(due, b)
		}
	}
	s.mu.Unlock()
	for len(due) > 0 {
		some := due[:min(len(due), readRows)]
		due = due[len(some):]
		rows, err := s.readHeads(ctx, l, some)
		if err != nil {
			return err
		}
		s.mu.Lock()
		for _, b := range some {
			if heads := rows[b.first]; heads != nil {
				s.sweepBatch(l, b, heads, now)
			}
		}
		s.mu.Unlock()
	}
	return nil
}

func (s *Spool) sweepBatch(l *line, b *batch, heads []head, now int64) {
	b.soonest = 0
	for i, h := range heads {
		switch {
		case h.expires == 0 || b.gone.has(i):
		case h.expires <= now && b.waits(i):
			l.waiting--
			s.expired++
			s.endLogged(l, b, i)
		default:
			b.soonest = sooner(b.soonest, h.expires)
		}
	}
}

func (s *Spool) sweepQueues(ctx context.Context, l *line, now int64) error {
	if l.soonest == 0 || l.soonest > now {
		return nil
	}
	rows, err := s.engine.pool.Query(ctx, `
		select device, id, octet_length(body) + octet_length(device) - 2, expires from spool_queue
		where app = $1 and environment = $2 and topic = $3 and expires > 0`, l.name.App, l.name.Environment,
		l.name.Topic)
	if err != nil {
		return s.engine.failure(err)
	}
	type expiring struct {
		Key               []byte
		ID, Size, Expires int64
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[expiring])
	if err != nil {
		return s.engine.failure(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l.soonest = 0
	for _, r := range all {
		token := r.Key[2:]
		d := l.device(token)
		switch {
		case r.Expires > now:
			l.soonest = sooner(l.soonest, r.Expires)
		case d.held[uint64(r.ID)] == nil:
			d.held[uint64(r.ID)] = &queuedRecord{cost: r.Size + queuedCost}
			s.expired++
			s.endQueued(l, d, token, uint64(r.ID))
		}
	}
	return nil
}
