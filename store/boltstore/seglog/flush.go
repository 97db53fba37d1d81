package seglog

import (
	"errors"
	"slices"
)

// soon is within how many Flushes a segment is done that is not worth writing anew before.
const soon = 16

// Flush makes durable what is done, removes the segments in which all is, and writes down
// what others contain.
func (l *Log) Flush() error {
	l.writing.Lock()
	err := l.writeMarks()
	l.mu.Lock()
	var unsynced []*segment
	for _, g := range l.segments {
		if g.unsynced {
			g.unsynced = false
			unsynced = append(unsynced, g)
		}
		g.drains, g.ended = g.ended > 0 && g.ended*soon > g.live.Records, 0
	}
	l.mu.Unlock()
	l.writing.Unlock() // not before: what a Put is at writing would be taken for synced
	for _, g := range unsynced {
		if failed := syncMarks(g.path); failed != nil {
			l.mu.Lock()
			g.unsynced = true
			l.mu.Unlock()
			err = errors.Join(err, failed)
		}
	}
	if err == nil {
		err = l.removeReplaced()
	}
	if err == nil {
		err = l.removeDone()
	}
	l.summarize()
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
		if !g.lost {
			err = errors.Join(err, g.remove())
		}
	}
	if len(done) > 0 {
		err = errors.Join(err, syncDir(l.Dir))
	}
	return err
}
