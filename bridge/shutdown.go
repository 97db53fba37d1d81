package bridge

import (
	"context"
	"fmt"
	"maps"
	"math"
	"time"

	"apnsbridge/bridge/lane"
)

// settled says that n notifications have left.
func (b *Bridge) settled(n int64) {
	if b.unsettled.Add(-n) == 0 {
		select {
		case b.idle <- struct{}{}:
		default:
		}
	}
}

// Shutdown lets all sessions come to their end, each when its provider has ended its
// side or pauses in writing, or when half of ctx's time is over. It
// returns when they have been told, all that was taken is settled or on disk, and
// the feedback list has what it should. What providers still write meanwhile is
// delivered too. An error says how much is left; with a spool Close writes that to
// disk. There it waits for the next start; a node of a fleet, which may have none, first
// delivers what has come to its own disk since it gave its apps.
func (b *Bridge) Shutdown(ctx context.Context) error {
	b.mu.Lock()
	b.stopping = true
	b.mu.Unlock()
	if !b.fleet {
		b.everyLane(func(l *appLane) { l.during(func(lane.Now) { l.core.Quiesce() }) })
	}
	tick := time.NewTicker(tickInterval)
	defer tick.Stop()
	enough := time.NewTimer(patienceOf(ctx))
	defer enough.Stop()
	for b.endLeaving(b.now()) > 0 || b.unsettled.Load() > 0 || b.fleet && b.reads() {
		select {
		case <-enough.C:
			b.hurried.Store(true)
		case <-b.idle:
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d notifications are without a verdict: %w", b.unsettled.Load(), ctx.Err())
		}
	}
	return nil
}

// reads reports whether a lane still reads what waits on disk.
func (b *Bridge) reads() (any bool) {
	b.everyLane(func(l *appLane) {
		l.lock()
		any = any || l.core.Reads()
		l.unlock()
	})
	return any
}

// patienceOf is how long providers that go on writing are read before they are told
// that the bridge stops: the rest of ctx's time is for what they answer.
func patienceOf(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return math.MaxInt64
	}
	return time.Until(deadline) / 2
}

// settleIn is how long a provider has to have written nothing, or to be connected,
// before its session can be ended in a way that loses nothing.
const settleIn = time.Second

// Leave lets the session come to its end as soon as its provider pauses in writing, or
// patience is over.
func (s *Session) Leave(patience time.Duration) {
	b := s.bridge
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, open := b.sessions[s]; open {
		b.leaving[s] = b.now().Add(patience)
	}
}

// endLeaving has the sessions that are to leave, while the bridge stops all, read without
// waiting for room in their windows, and lets those come to their end whose providers
// pause in writing, or whose time is over. It reports how many others there are. It is
// called again and again.
func (b *Bridge) endLeaving(now time.Time) (writing int) {
	hurried := b.hurried.Load()
	b.mu.Lock()
	leaving := maps.Clone(b.leaving)
	for s := range b.sessions {
		if _, due := leaving[s]; b.stopping && !due {
			leaving[s] = time.Time{} // as long as Shutdown has patience
		}
	}
	b.mu.Unlock()
	for s, until := range leaving {
		late := hurried || !until.IsZero() && !now.Before(until)
		if !s.readOut(now) && !late {
			writing++
			continue
		}
		s.End()
		b.mu.Lock()
		delete(b.leaving, s)
		b.mu.Unlock()
	}
	return writing
}

// Close ends everything at once. What has no verdict yet goes to disk, or without
// a spool is counted as abandoned; what is on its way to the feedback list is
// still written.
func (b *Bridge) Close() {
	b.mu.Lock()
	b.closed = true
	all := b.outlets
	b.mu.Unlock()
	b.ended.Store(true)
	b.everyLane(func(l *appLane) { l.during(l.core.Stop) })
	b.cancel()
	for _, u := range all {
		u.Close()
	}
	b.wg.Wait()
	b.endWriters()
	b.writers.Wait()
	b.saveLedgers()
	b.tombs.End()
}

// saveLedgers writes down what providers may send again to whoever comes after
// us.
func (b *Bridge) saveLedgers() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.fleet {
		b.ledgerLog.Replace(b.recordsOf(nil))
		return
	}
	for _, a := range b.apps {
		a.log.Load().Replace(b.recordsOf(a))
	}
}
