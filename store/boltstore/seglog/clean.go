package seglog

import (
	"slices"
	"strings"
	"time"
)

// manySegments is how many neighbours become one in any case, if all that is left in
// them has room in one: each start of the program begins one.
const manySegments = 16

// restTime is for how long a segment is left alone that cannot be written anew.
const restTime = time.Minute

// DropExpired writes segments anew without what has expired.
func (l *Log) DropExpired() {
	now := l.Now()
	l.mu.Lock()
	due := slices.DeleteFunc(slices.Clone(l.segments), func(g *segment) bool {
		return g == l.current || g.rests(now) || !g.isDue(now.Unix())
	})
	l.mu.Unlock()
	for _, g := range due {
		l.renew([]*segment{g}, true)
	}
}

// isDue reports whether something in a segment has expired.
func (g *summary) isDue(now int64) bool { return g.Soonest != 0 && g.Soonest <= now }

// rests reports whether a segment is not to be written anew.
func (g *segment) rests(now time.Time) bool { return g.lost || g.restsUntil.After(now) }

// RollSparse ends the current segment if an eighth of it is done or something has
// expired, so that it can be removed or written anew.
func (l *Log) RollSparse() {
	now := l.Now().Unix()
	l.writing.Lock()
	defer l.writing.Unlock()
	l.mu.Lock()
	g := l.current
	ends := g != nil && (g.isDue(now) || g.dead() > 0 && g.dead()*8 >= g.Size)
	l.mu.Unlock()
	if ends {
		l.roll()
	}
}

// Clean writes neighbouring segments anew if at least one of so many parts of their
// bytes is done, and reports whether to go on: then there are fewer of them, or fewer bytes,
// and what has come of them is not taken again before more of it is done, or it has more
// neighbours; or they rest. It is called by one at a time, and so are Flush, DropExpired and
// RollSparse.
func (l *Log) Clean(parts int64) bool {
	now := l.Now()
	l.mu.Lock()
	run := l.sparse(parts, false, now)
	l.mu.Unlock()
	return l.renew(run, false)
}

// CleanAtRest is Clean for segments that do not drain. later reports that there are
// others, which are to be looked at again behind the next Flush.
func (l *Log) CleanAtRest(parts int64) (cleaned, later bool) {
	now := l.Now()
	l.mu.Lock()
	run := l.sparse(parts, true, now)
	later = len(run) == 0 && len(l.sparse(parts, false, now)) > 0
	l.mu.Unlock()
	return l.renew(run, false), later
}

// sparse gives the neighbours of which most is done, if it is enough; atRest: and of which
// none drains.
func (l *Log) sparse(parts int64, atRest bool, now time.Time) (run []*segment) {
	most := int64(0)
	for i, first := range l.segments {
		size, live, n := int64(0), int64(0), 0
		for _, g := range l.segments[i:] {
			if g == l.current || g.rests(now) || atRest && g.drains || g.name.salt != first.name.salt ||
				g.Last-first.name.first >= maxSegmentIDs || n > 0 && live+g.live.Bytes > l.Segment {
				break
			}
			size, live, n = size+g.Size, live+g.live.Bytes, n+1
		}
		if dead := size - live; dead > most && dead*parts >= size || run == nil && n >= manySegments {
			run, most = slices.Clone(l.segments[i:i+n]), dead
		}
	}
	return run
}

// renew writes a run anew, and reports whether to go on: not if there is none, or the disk is
// full. One that fails for another reason rests for a while, so that others have their turn.
// On a full disk the sparsest of the run may have room where all of it has none.
func (l *Log) renew(run []*segment, expired bool) bool {
	if len(run) == 0 {
		return false
	}
	var unread error // what is wrong with one of them, and not with the disk
	rests := run
	err := l.WithRoom(func() (err error) {
		var at *segment
		if at, err = l.rewrite(run, expired); at != nil {
			rests, unread, err = []*segment{at}, err, nil
		}
		return err
	})
	switch {
	case err == nil && unread == nil:
		return true
	case IsFull(err):
		one := slices.MaxFunc(run, func(a, b *segment) int { return int(a.dead() - b.dead()) })
		return len(run) > 1 && one.dead() > 0 && l.renew([]*segment{one}, expired)
	}
	until := l.Now().Add(restTime)
	l.mu.Lock()
	told := !rests[0].restsUntil.IsZero()
	for _, g := range rests {
		g.restsUntil = until
	}
	l.mu.Unlock()
	if unread != nil && !told {
		l.Quarantine(strings.NewReader(unread.Error() + "\n"))
	}
	return true
}
