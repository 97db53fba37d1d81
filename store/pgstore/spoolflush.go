package pgstore

import (
	"context"
	"slices"
)

// dirty reports whether anything of the line is to be written. s.mu is held.
func (l *line) dirty() bool { return len(l.changed)+len(l.done)+len(l.doubts) > 0 }

// Flush implements store.Spool. Each app has its own transaction, so that one which another
// node has by now does not hold up the rest.
//
// Writes that are under way are waited for: what they have collected is in no list of its line
// meanwhile, and not in the engine yet. Their node may be about to give the app away, after
// which they would be refused.
func (s *Spool) Flush(ctx context.Context) error {
	return s.flush(ctx, func(l *line) bool { return l.dirty() || l.writing })
}

// flush writes what is to be written of some lines. s.mu is held while some is called.
func (s *Spool) flush(ctx context.Context, some func(*line) bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	byApp := make(map[*ownedApp][]*lineWrite)
	s.mu.Lock()
	for _, l := range s.lines {
		if some(l) {
			byApp[l.app] = append(byApp[l.app], &lineWrite{line: l})
		}
	}
	s.mu.Unlock()
	var failed error
	for _, lines := range byApp {
		slices.SortFunc(lines, func(a, b *lineWrite) int { return compareLines(a.line.name, b.line.name) })
		if err := holdAll(ctx, lines); err != nil {
			return err
		}
		if err := s.writeDirty(ctx, lines); err != nil && failed == nil {
			failed = err
		}
		releaseAll(lines)
	}
	return failed
}

// writeDirty writes lines that are held, unless the write that was waited for has left nothing
// to be written.
func (s *Spool) writeDirty(ctx context.Context, lines []*lineWrite) error {
	s.mu.Lock()
	dirty := slices.ContainsFunc(lines, func(w *lineWrite) bool { return w.line.dirty() })
	s.mu.Unlock()
	if !dirty {
		return nil
	}
	return s.write(ctx, lines)
}
