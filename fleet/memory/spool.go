package memory

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"apnsbridge/store"
)

// SpoolConfig configures a Spool.
type SpoolConfig struct {
	Shared store.OwnedSpool
	Local  store.Spool

	// May reports whether the shared part may be read for an app now. It does no I/O.
	May func(app string) bool

	// Gives reports whether an app is being given: its shared part may be written but not
	// read. It does no I/O.
	Gives func(app string) bool

	// Commits means that nothing is forwarded before the fleet's store has it. Then nothing
	// goes behind while Loose reports that it is not known which node has the app. What comes
	// while the app is being given may: it is handed over, or delivered from here.
	Commits bool
	Loose   func(app string) bool

	Patience time.Duration // how long the shared part is waited for
	Fenced   func()        // called when a write is refused because another node has the app; may be nil
}

// Spool implements store.OwnedSpool: each line has a shared part and, behind it, one of the
// node's own. Once something is behind, everything that comes goes there too, until that
// part is empty.
type Spool struct {
	SpoolConfig

	mu    sync.Mutex
	owned map[string]bool
}

// NewSpool returns the Spool of a node that has no app yet.
func NewSpool(c SpoolConfig) *Spool { return &Spool{SpoolConfig: c, owned: make(map[string]bool)} }

// behindBit is set in the IDs of the node's own records: they come after all shared ones.
const behindBit = 1 << 63

func isBehind(id uint64) bool { return id&behindBit != 0 }

// errLoose is why records are refused that have to be committed.
var errLoose = errors.New("this node has no lease, and with spool.mode always takes nothing without: see whether it " +
	"reaches PostgreSQL")

// Own implements store.OwnedSpool.
func (s *Spool) Own(ctx context.Context, app string, epoch uint64) error {
	ctx, cancel := context.WithTimeout(ctx, s.Patience)
	defer cancel()
	if err := s.Shared.Own(ctx, app, epoch); err != nil {
		return err
	}
	s.mu.Lock()
	s.owned[app] = true
	s.mu.Unlock()
	return nil
}

// Disown implements store.OwnedSpool. Records of the shared part that are checked out are forgotten.
func (s *Spool) Disown(app string) {
	s.mu.Lock()
	delete(s.owned, app)
	s.mu.Unlock()
	s.Shared.Disown(app)
}

func (s *Spool) owns(app string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.owned[app]
}

// reads reports whether the shared part of an app may be read now.
func (s *Spool) reads(app string) bool { return s.owns(app) && s.May(app) }

// Take implements store.Spool.
func (s *Spool) Take(ctx context.Context, line store.Line, limit int, size int64) ([]store.SpoolRecord, error) {
	if s.reads(line.App) && s.Shared.Waiting(line) > 0 {
		ctx, cancel := context.WithTimeout(ctx, s.Patience)
		defer cancel()
		return s.Shared.Take(ctx, line, limit, size)
	}
	return behind(s.Local.Take(ctx, line, limit, size))
}

// behind marks records as the node's own, by their IDs.
func behind(records []store.SpoolRecord, err error) ([]store.SpoolRecord, error) {
	for i := range records {
		records[i].ID |= behindBit
	}
	return records, err
}

// TakeOf implements store.Spool.
func (s *Spool) TakeOf(ctx context.Context, line store.Line, token []byte,
	limit int, size int64) ([]store.SpoolRecord, error) {
	if s.reads(line.App) && s.Shared.Queued(line, token) {
		ctx, cancel := context.WithTimeout(ctx, s.Patience)
		defer cancel()
		if records, err := s.Shared.TakeOf(ctx, line, token, limit, size); err != nil || len(records) > 0 {
			return records, err
		}
	}
	return behind(s.Local.TakeOf(ctx, line, token, limit, size))
}

// Sample implements store.Spool.
func (s *Spool) Sample(ctx context.Context, line store.Line,
	limit int, free func(token []byte) bool) ([]store.SpoolRecord, error) {
	if s.reads(line.App) && s.Shared.Waiting(line) > 0 {
		ctx, cancel := context.WithTimeout(ctx, s.Patience)
		defer cancel()
		return s.Shared.Sample(ctx, line, limit, free)
	}
	return behind(s.Local.Sample(ctx, line, limit, free))
}

// Return implements store.Spool.
func (s *Spool) Return(line store.Line, keys ...store.SpoolKey) {
	shared, own := split(keys)
	if len(shared) > 0 {
		s.Shared.Return(line, shared...)
	}
	if len(own) > 0 {
		s.Local.Return(line, own...)
	}
}

// Done implements store.Spool.
func (s *Spool) Done(line store.Line, keys ...store.SpoolKey) {
	shared, own := split(keys)
	if len(shared) > 0 {
		s.Shared.Done(line, shared...)
	}
	if len(own) > 0 {
		s.Local.Done(line, own...)
	}
}

func split(keys []store.SpoolKey) (shared, own []store.SpoolKey) {
	if len(keys) == 1 && !isBehind(keys[0].ID) {
		return keys, nil
	}
	for _, k := range keys {
		if isBehind(k.ID) {
			k.ID &^= behindBit
			own = append(own, k)
		} else {
			shared = append(shared, k)
		}
	}
	return shared, own
}

// Waiting implements store.Spool.
func (s *Spool) Waiting(line store.Line) int {
	n := s.Local.Waiting(line)
	if s.reads(line.App) {
		n += s.Shared.Waiting(line)
	}
	return n
}

// Queued implements store.Spool.
func (s *Spool) Queued(line store.Line, token []byte) bool {
	return s.reads(line.App) && s.Shared.Queued(line, token) || s.Local.Queued(line, token)
}

// Lines implements store.Spool.
func (s *Spool) Lines() []store.Line {
	lines := append(s.Shared.Lines(), s.Local.Lines()...)
	slices.SortFunc(lines, compareLines)
	return slices.Compact(lines)
}

func compareLines(a, b store.Line) int {
	return cmp.Or(strings.Compare(a.App, b.App), strings.Compare(a.Environment, b.Environment),
		strings.Compare(a.Topic, b.Topic))
}

// Devices implements store.Spool.
func (s *Spool) Devices(ctx context.Context, line store.Line, after []byte, limit int) ([]store.QueuedDevice, error) {
	all, err := s.Local.Devices(ctx, line, after, limit)
	if err != nil || !s.reads(line.App) {
		return all, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.Patience)
	defer cancel()
	shared, err := s.Shared.Devices(ctx, line, after, limit)
	if err != nil {
		return nil, err
	}
	all = append(all, shared...)
	slices.SortFunc(all, func(a, b store.QueuedDevice) int {
		return cmp.Or(cmp.Compare(len(a.Token), len(b.Token)), bytes.Compare(a.Token, b.Token))
	})
	merged := all[:0]
	for _, d := range all {
		if last := len(merged) - 1; last >= 0 && bytes.Equal(merged[last].Token, d.Token) {
			merged[last].Records += d.Records
		} else {
			merged = append(merged, d)
		}
	}
	return merged[:min(limit, len(merged))], nil
}

// Flush implements store.Spool.
func (s *Spool) Flush(ctx context.Context) error {
	err := s.Local.Flush(ctx)
	ctx, cancel := context.WithTimeout(ctx, s.Patience)
	defer cancel()
	if failed := s.Shared.Flush(ctx); failed != nil {
		err = errors.Join(err, fmt.Errorf("what is shared: %w", failed))
	}
	return err
}

// Behind returns how many records of an app are the node's own.
func (s *Spool) Behind(app string) (records int) {
	for _, l := range s.Local.Stats().Lines {
		if l.App == app {
			records += l.Log + l.Queued
		}
	}
	return records
}

// Stats implements store.Spool.
func (s *Spool) Stats() store.SpoolStats {
	st, shared := s.Local.Stats(), s.Shared.Stats()
	st.Bytes += shared.Bytes
	st.Bound += shared.Bound
	st.Expired += shared.Expired
	st.Broken += shared.Broken
	for _, l := range shared.Lines {
		i := slices.IndexFunc(st.Lines, func(o store.LineWaiting) bool { return o.Line == l.Line })
		if i < 0 {
			st.Lines = append(st.Lines, l)
			continue
		}
		st.Lines[i].Log += l.Log
		st.Lines[i].Queued += l.Queued
		st.Lines[i].Bytes += l.Bytes
		st.Lines[i].Since = min(st.Lines[i].Since, l.Since)
	}
	return st
}
