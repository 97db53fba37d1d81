package bridge

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"apnsbridge/bridge/drain"
	"apnsbridge/bridge/lane"
)

// settled says that n notifications have left the bridge.
func (b *Bridge) settled(n int64) {
	if b.unsettled.Add(-n) == 0 {
		select {
		case b.idle <- struct{}{}:
		default:
		}
	}
}

// Shutdown ends all sessions, each when its provider has ended its side or pauses in writing,
// or when half of ctx's time is over. It returns once the providers have been told, everything
// that was taken is settled or on disk, and the feedback list has all its entries. What
// providers still write meanwhile is delivered too. The same holds for sessions that begin
// after it has returned, of connections whose handshakes were under way.
//
// With a spool, nothing is sent to APNs in the last quarter of ctx's time, or longer if APNs
// is slow. What waits goes to disk until the next start, and what was already sent gets its
// verdict, without which it would arrive twice. A node of a fleet may never start again, so
// it first delivers what has come to its own disk since it gave its apps away: it tries what
// waits there, for its device or for APNs, at once and again for as long as there is time. An
// error says how much is left.
func (b *Bridge) Shutdown(ctx context.Context) error {
	b.mu.Lock()
	if b.ending == nil {
		b.ending = &ending{Plan: drain.New(ctx, b.now())}
	}
	e := b.ending
	b.mu.Unlock()
	last := (*lane.Lane).Quiesce
	if b.fleet {
		last = (*lane.Lane).Try
	}
	b.everyLane(func(l *appLane) { l.during(func(now lane.Now) { last(l.core, now) }) })
	tick := time.NewTicker(tickInterval)
	defer tick.Stop()
	for {
		settled := b.endLeaving(b.now()) == 0 && b.unsettled.Load() == 0
		out, slowest, rest := b.lookAtLanes() // after unsettled: a lane does not rest while it has what it read since
		left := e.Left(slowest, b.now())
		if settled && (!b.fleet || rest > max(0, left)) && (!e.toDisk.Load() || out == 0) {
			return nil
		}
		b.askNoMore(e, left)
		select {
		case <-b.idle:
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d notifications are without a verdict: %w", b.unsettled.Load(), ctx.Err())
		}
	}
}

// ending is what the first Shutdown decides about the end of the bridge.
type ending struct {
	drain.Plan
	decided, toDisk atomic.Bool // that APNs is asked about nothing more, and that what waits goes to disk
}

// askNoMore stops the lanes once no time is left for APNs to be asked. It is called again and again.
func (b *Bridge) askNoMore(e *ending, left time.Duration) {
	if left > 0 || e.decided.Swap(true) {
		return
	}
	if b.spool != nil && b.Unspooled() == nil { // else APNs is the only way out
		e.toDisk.Store(true)
		b.everyLane(func(l *appLane) { l.during(l.core.Stop) })
	}
}

// tendEnding has the same decided when Shutdown has returned.
func (b *Bridge) tendEnding(now time.Time) {
	b.mu.Lock()
	e := b.ending
	b.mu.Unlock()
	if e == nil || e.decided.Load() {
		return
	}
	_, slowest, _ := b.lookAtLanes()
	b.askNoMore(e, e.Left(slowest, now))
}

// lookAtLanes gives how many notifications are with APNs, how long the latest good answer took
// in the slowest lane, and for how long no lane will have anything to do.
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

// settleIn is how long a provider has to have been connected and silent before its session
// can be ended without losing anything.
const settleIn = time.Second

// Leave ends the session as soon as its provider pauses in writing, or patience is over.
func (s *Session) Leave(patience time.Duration) {
	b := s.bridge
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, open := b.sessions[s]; open {
		b.leaving[s] = b.now().Add(patience)
	}
}

// endLeaving looks at the sessions that are to end: those in leaving, and all of them while
// the bridge stops. They are read without waiting for room in their windows. It ends those
// whose providers pause in writing, or whose time is over, and gives how many others there
// are. It is called again and again.
func (b *Bridge) endLeaving(now time.Time) (writing int) {
	b.mu.Lock()
	leaving := maps.Clone(b.leaving)
	if e := b.ending; e != nil {
		for s := range b.sessions {
			if by, due := leaving[s]; !due || e.ReadBy.Before(by) {
				leaving[s] = e.ReadBy
			}
		}
	}
	b.mu.Unlock()
	for s, by := range leaving {
		if !s.readOut(now) && now.Before(by) {
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

// readOut makes sure that what the provider still writes is read, and reports whether the
// provider has ended its side or been silent for settleIn.
func (s *Session) readOut(now time.Time) (silent bool) {
	s.client.during(func(time.Time) {
		s.talk.ReadOn()
		silent = !s.talk.Open() || s.pauses(settleIn, now)
	})
	return silent
}

// pauses reports whether the provider has written nothing for d. Time in which it was not
// read does not count. The caller holds the client's lock, and has to ask again and again.
func (s *Session) pauses(d time.Duration, now time.Time) bool {
	if s.parked {
		s.waited = now
		s.client.touch(s)
	}
	return now.Sub(s.waited) >= d && now.Sub(s.talk.Latest()) >= d
}

// Close ends everything at once. What has no verdict yet goes to disk, or counts as
// abandoned if there is no spool. What is on its way to the feedback list is still
// written.
func (b *Bridge) Close() {
	b.mu.Lock()
	b.closed = true
	all := slices.Clone(b.outlets) // those that are spent leave it meanwhile
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

// saveLedgers records what providers may send again, for the process that comes next. Where
// that fails, bad tokens that only these records would have told of go to the feedback list.
func (b *Bridge) saveLedgers() {
	ctx, cancel := context.WithTimeout(context.Background(), losePatience)
	defer cancel()
	apps := []*app{nil} // nil: all of them together
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
		if log.Replace(ctx, records) != nil { // the log has reported the error
			abandon(clients)
		}
	}
	cancel()
	b.feedback.Flush(ctx) // one last time
}
