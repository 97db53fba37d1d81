package seglog

import (
	"errors"
	"slices"
)

// Flush makes durable what is done, and removes the segments in which all is.
func (l *Log) Flush() error {
	l.writing.Lock()
	err := l.writeMarks()
	l.writing.Unlock()
	l.mu.Lock()
	var unsynced []*segment
	for _, g := range l.segments {
		if g.unsynced {
			g.unsynced = false
			unsynced = append(unsynced, g)
		}
	}
	l.mu.Unlock()
	for _, g := range unsynced {
		if failed := syncMarks(g.path); failed != nil {
			l.mu.Lock()
			g.unsynced = true
			l.mu.Unlock()
			err = errors.Join(err, failed)
		}
	}
	if err == nil {
		err = l.removeDone()
	}
	return err
}

// writeMarks writes what is done since the last time. The caller has l.writing.
func (l *Log) writeMarks() (failed error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, g := range slices.Clone(l.segments) {
		from, to := g.from, g.to
		if from == to || g.gone {
			continue
		}
		words := slices.Clone(g.done[from:to])
		g.from, g.to, g.unsynced = 0, 0, true
		l.mu.Unlock()
		err := writeMarks(g.path, words, from)
		l.mu.Lock()
		if err != nil {
			failed = errors.Join(failed, err)
			g.unwritten(from, to)
		}
	}
	return failed
}

// removeDone removes the segments in which all is done, and known to be. The last one
// stays, for the IDs it has.
func (l *Log) removeDone() (err error) {
	l.mu.Lock()
	var done []*segment
	for i, g := range slices.Backward(l.segments) {
		if i < len(l.segments)-1 && g.live.Records == 0 && g.from == g.to && !g.unsynced {
			l.segments = slices.Delete(l.segments, i, i+1)
			l.size -= g.Size
			g.gone = true
			done = append(done, g)
		}
	}
	l.mu.Unlock()
	for _, g := range done {
		err = errors.Join(err, g.remove())
	}
	if len(done) > 0 {
		err = errors.Join(err, syncDir(l.Dir))
	}
	return err
}

// Summaries are those of the segments that have none yet, by their names, and the names
// of all segments.
func (l *Log) Summaries() (ready map[string]Summary, names map[string]bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ready, names = make(map[string]Summary), make(map[string]bool)
	for _, g := range l.segments {
		if names[g.name.String()] = true; g == l.current || g.summarized {
			continue
		}
		of := g.Summary
		if g.done == nil {
			of.Counts = make(map[string]Count)
			for t, c := range g.counts {
				of.Counts[t.Name] = c
			}
		}
		ready[g.name.String()] = of
	}
	return ready, names
}

// Summarized says that summaries are kept.
func (l *Log) Summarized(kept map[string]Summary) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, g := range l.segments {
		if _, ok := kept[g.name.String()]; ok {
			g.summarized = true
		}
	}
}
