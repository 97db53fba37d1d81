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

// Shutdown lets all sessions come to their end, each when its provider has ended its side or
// pauses in writing, or when half of ctx's time is over. It returns when they have been told,
// all that was taken is settled or on disk, and the feedback list has what it should. What
// providers still write meanwhile is delivered too.
//
// With a spool nothing is handed to APNs in the last quarter of that time, or for longer where
// APNs is slow: what waits goes to disk, and what was handed on gets its verdict, without which
// it would arrive twice. On disk it waits for the next start; a node of a fleet, which may have
// none, first delivers what has come to its own disk since it gave its apps: what waits there,
// for its device or for APNs, is tried at once and again for as long as there is time. An error
// says how much is left.
func (b *Bridge) Shutdown(ctx context.Context) error {
	b.mu.Lock()
	b.stopping = true
	b.mu.Unlock()
	last := (*lane.Lane).Quiesce
	if b.fleet {
		last = (*lane.Lane).Try
	}
	b.everyLane(func(l *appLane) { l.during(func(now lane.Now) { last(l.core, now) }) })
	tick := time.NewTicker(tickInterval)
	defer tick.Stop()
	enough := time.NewTimer(patienceOf(ctx))
	defer enough.Stop()
	shortest, longest := partOf(ctx, 1, 4), partOf(ctx, 3, 4)
	_, ends := ctx.Deadline()
	toDisk, decided := false, !ends
	for {
		settled := b.endLeaving(b.now()) == 0 && b.unsettled.Load() == 0
		out, slowest, rest := b.lookAtLanes() // now, for a lane does not rest with what it has read since
		left := partOf(ctx, 1, 1) - min(max(2*slowest, shortest), longest)
		if settled && (!b.fleet || rest > max(0, left)) && (!toDisk || out == 0) {
			return nil
		}
		if !decided && left <= 0 {
			decided = true
			if toDisk = b.spool != nil && b.Unspooled() == nil; toDisk { // else APNs is the only way out
				b.everyLane(func(l *appLane) { l.during(l.core.Stop) })
			}
		}
		select {
		case <-enough.C:
			b.hurried.Store(true)
		case <-b.idle:
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d notifications are without a verdict: %w", b.unsettled.Load(), ctx.Err())
		}
	}
}

// lookAtLanes gives how many notifications are with APNs, how long it took for its latest good
// answer in the slowest lane, and for how long no lane has anything to do.
func (b *Bridge) lookAtLanes() (out int, slowest, rest time.Duration) {
	rest = math.MaxInt64
	b.everyLane(func(l *appLane) {
		now := l.lock()
		out += l.core.Out()
		slowest = max(slowest, l.core.AnswersTake())
		rest = min(rest, l.core.Rests(now))
		l.mu.Unlock()
	})
	return out, slowest, rest
}

// patienceOf is how long providers that go on writing are read before they are told
// that the bridge stops: the rest of ctx's time is for what they answer.
func patienceOf(ctx context.Context) time.Duration { return partOf(ctx, 1, 2) }

// partOf is so many parts, of all, of ctx's time.
func partOf(ctx context.Context, parts, all time.Duration) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return math.MaxInt64
	}
	return time.Until(deadline) / all * parts
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

// readOut has what the provider still writes read, while the bridge stops, and
// reports whether it has ended its side or written nothing for settleIn.
func (s *Session) readOut(now time.Time) (silent bool) {
	s.client.during(func(time.Time) {
		s.talk.ReadOn()
		silent = !s.talk.Open() || s.pauses(settleIn, now)
	})
	return silent
}

// pauses reports whether the provider has written nothing for so long. What it wrote while
// it was not read is not known. It is to be asked again and again; the client's lock is held.
func (s *Session) pauses(d time.Duration, now time.Time) bool {
	if s.parked {
		s.waited = now
		s.client.touch(s)
	}
	return now.Sub(s.waited) >= d && now.Sub(s.talk.Latest()) >= d
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
// us. Where that cannot be, bad tokens that may be told of there alone go to the feedback list.
func (b *Bridge) saveLedgers() {
	ctx, cancel := context.WithTimeout(context.Background(), losePatience)
	defer cancel()
	apps := []*app{nil} // all in one
	if b.fleet {
		apps = b.everyApp()
	}
	for _, a := range apps {
		log := b.ledgerLog
		if a != nil {
			log = a.log.Load()
		}
		clients := b.clientsOf(a)
		records := recordsOf(clients, b.now())
		if log.Replace(ctx, records) != nil { // which the log has told of
			abandon(clients)
		}
	}
	cancel()
	b.feedback.Flush(ctx) // one last time
}
