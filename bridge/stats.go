package bridge

import (
	"fmt"
	"sync/atomic"
	"time"

	"apnsbridge/bridge/conversation"
	"apnsbridge/bridge/lane"
	"apnsbridge/bridge/upstream"
)

// Stats is a snapshot of a bridge.
type Stats struct {
	Sessions     int    // connections open, or with notifications without a verdict
	Unsettled    int64  // notifications without a verdict
	QueuedBytes  int64  // what they cost, against Limits.QueuedBytes
	Retrying     int    // devices that wait for another attempt, against Limits.WaitingDevices
	FeedbackWait int    // of those, waiting for the store
	Clients      int    // with a session, or with something remembered
	LedgerBytes  int64  // what is remembered behind error packets, against Limits.LedgerBytes
	LedgerWait   int    // records of it, and the packets that wait for them
	LedgerFailed uint64 // commits of it that the store has refused
	Limits       Limits
	Apps         map[string]AppStats
}

// AppStats counts an app's notifications since the start.
type AppStats struct {
	Taken        uint64 // good frames
	Malformed    uint64 // frames refused at parsing
	OverRate     uint64 // of both, those behind which a connection was not read further for a while, for its client's rate
	SkippedItems uint64 // items of framed notifications that nobody knows
	Accepted     uint64 // by APNs
	DryRun       uint64 // ended in place of it, as the app's dry run has it
	BadTokens    uint64 // refused for their token
	NotForTopic  uint64 // of BadTokens: APNs says DeviceTokenNotForTopic, and BadDeviceToken of the others
	Refused      uint64 // refused for another fault of the provider
	Unregistered uint64 // for devices that have gone
	Unknown      uint64 // answered in words not known here
	Feedback     uint64 // entries recorded
	Revived      uint64 // entries taken off the list, for the device took a push again
	FeedbackLost uint64 // entries the store did not take before the end
	Expired      uint64 // before APNs took them
	Dropped      uint64 // given up after retries
	Crowded      uint64 // given up behind a device that waits, for want of room
	Retried      uint64 // attempts after the first
	Ambiguous    uint64 // of those, after no answer: these may double
	Replayed     uint64 // read from the spool, to be sent
	Unreadable   uint64 // of the spool's notifications, that could not be read
	Abandoned    uint64 // without a verdict at the end, and not in the spool

	Waiting WaitingStats // what has no verdict yet
	Lanes   LanesStats   // its ways to APNs

	BadTokensListed  int    // tokens that are answered without asking APNs
	BadTokensCached  uint64 // notifications answered so
	BadTokensEvicted uint64 // tokens forgotten for want of room

	Conversation conversation.Stats // what providers were told, and have sent again
	Pool         upstream.Stats     // what carries them to APNs
}

// WaitingStats is what an app has taken and has no verdict on: one figure, wherever
// it waits.
type WaitingStats struct {
	Notifications int   // in memory, with APNs or on disk
	OnDisk        int   // of those
	Oldest        int64 // the second since 1970 before which none of them was taken; 0: none waits, or for no longer than a moment
}

// LanesStats are an app's ways to the environments of APNs.
type LanesStats struct{ Production, Sandbox LaneStats }

// LaneStats is the state of a way into one environment.
type LaneStats struct {
	ClosedSince int64  // the second since 1970 from which on notifications wait, but for probes; 0: they do not
	TopicsShut  int    // topics of which the same is true
	Probes      uint64 // sent to find out whether APNs serves again
	Asleep      int    // devices that wait
	AtDoor      int    // of those, until APNs serves the app, or its topic
	Unwritten   int    // notifications on their way to disk
	AheadBytes  int64  // read from there, without a verdict, against Limits.SpoolAhead
}

type counters struct {
	taken, malformed, overRate, skippedItems            atomic.Uint64
	accepted, badTokens, refused, unregistered, unknown atomic.Uint64
	notForTopic, dryRun                                 atomic.Uint64
	feedback, revived, feedbackLost                     atomic.Uint64
	expired, dropped, crowded                           atomic.Uint64
	retried, ambiguous, abandoned                       atomic.Uint64
	replayed, unreadable                                atomic.Uint64
}

func (c *counters) stats() AppStats {
	return AppStats{
		Taken: c.taken.Load(), Malformed: c.malformed.Load(), OverRate: c.overRate.Load(), SkippedItems: c.skippedItems.Load(),
		Accepted: c.accepted.Load(), DryRun: c.dryRun.Load(), BadTokens: c.badTokens.Load(), NotForTopic: c.notForTopic.Load(), Refused: c.refused.Load(),
		Unregistered: c.unregistered.Load(), Unknown: c.unknown.Load(),
		Feedback: c.feedback.Load(), Revived: c.revived.Load(), FeedbackLost: c.feedbackLost.Load(),
		Expired: c.expired.Load(), Dropped: c.dropped.Load(), Crowded: c.crowded.Load(),
		Retried: c.retried.Load(), Ambiguous: c.ambiguous.Load(), Replayed: c.replayed.Load(), Unreadable: c.unreadable.Load(), Abandoned: c.abandoned.Load(),
	}
}

// Stats gives the present figures.
func (b *Bridge) Stats() Stats {
	disk := b.onDisk()
	b.mu.Lock()
	st := Stats{Sessions: len(b.sessions), Limits: b.limits, Apps: make(map[string]AppStats, len(b.apps))}
	for name, a := range b.apps {
		if !a.configured {
			continue
		}
		app := a.counters.stats()
		app.Conversation, app.Pool = a.conversations, a.pooled
		app.Waiting = disk[name]
		app.Lanes.Production = a.lanes[Production].stats(&app.Waiting)
		app.Lanes.Sandbox = a.lanes[Sandbox].stats(&app.Waiting)
		app.BadTokensListed, app.BadTokensCached, app.BadTokensEvicted = a.badTokens.figures(b.now())
		st.Apps[name] = app
	}
	for key, c := range b.clients {
		c.mu.Lock()
		talk := c.ledger.Stats()
		c.mu.Unlock()
		if app, ok := st.Apps[key.app]; ok {
			app.Conversation.Add(talk)
			st.Apps[key.app] = app
		}
	}
	for _, u := range b.upstreams {
		if app, ok := st.Apps[u.App()]; ok {
			app.Pool.Add(u.Stats())
			st.Apps[u.App()] = app
		}
	}
	st.Clients = len(b.clients)
	b.mu.Unlock()
	st.LedgerBytes = b.ledgerBudget.Used()
	st.LedgerWait, st.LedgerFailed = b.ledgerLog.figures()
	st.Unsettled = b.unsettled.Load()
	st.QueuedBytes = b.budget.used.Load()
	st.Retrying = int(b.asleep.Used())
	st.FeedbackWait = b.feedback.len()
	return st
}

// onDisk gives what waits in the spool, by app.
func (b *Bridge) onDisk() map[string]WaitingStats {
	if b.spool == nil {
		return nil
	}
	all := make(map[string]WaitingStats)
	for _, line := range b.spool.Stats().Lines {
		w := all[line.App]
		w.OnDisk += line.Log + line.Queued
		w.Notifications = w.OnDisk
		if w.Oldest == 0 || line.Since < w.Oldest {
			w.Oldest = line.Since
		}
		all[line.App] = w
	}
	return all
}

// stats gives the lane's figures, and adds what waits in memory to w.
func (l *appLane) stats(w *WaitingStats) LaneStats {
	now := l.lock()
	core := l.core.Stats()
	oldest := l.core.Oldest(func(it *lane.Item) int64 { return of(it).taken })
	l.mu.Unlock()
	w.Notifications += core.Unstored
	if oldest != 0 && (w.Oldest == 0 || oldest < w.Oldest) {
		w.Oldest = oldest
	}
	st := LaneStats{Probes: core.Probes, Asleep: core.Asleep, AtDoor: core.AtDoor, Unwritten: core.Unwritten, AheadBytes: core.Ahead, TopicsShut: len(core.Closed)}
	since := core.Since
	for _, n := range core.Closed {
		since = min(since, n.Since)
	}
	if core.Reason == lane.Open {
		since = 0
		for _, n := range core.Closed {
			if since == 0 || n.Since < since {
				since = n.Since
			}
		}
	}
	if core.Reason != lane.Open || len(core.Closed) > 0 {
		st.ClosedSince = now.Time.Add(since - now.Mono).Unix()
	}
	return st
}

// Problems says for each app why APNs does not take its notifications; apps
// that are well, or have not tried yet, are not in it.
func (b *Bridge) Problems() map[string]string {
	stats := b.Stats()
	b.mu.Lock()
	defer b.mu.Unlock()
	problems := make(map[string]string)
	for name, a := range b.apps {
		problem := a.health.state()
		if problem == "" || !a.configured || a.route.Load().app.DryRun {
			continue
		}
		st := stats.Apps[name]
		for _, l := range [...]LaneStats{st.Lanes.Production, st.Lanes.Sandbox} {
			if l.ClosedSince != 0 {
				problem += fmt.Sprintf("; since %s, %d notifications wait", time.Unix(l.ClosedSince, 0).UTC().Format(time.RFC3339), st.Waiting.Notifications)
			}
		}
		problems[name] = problem
	}
	return problems
}
