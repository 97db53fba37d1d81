package bridge

import (
	"fmt"
	"math"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/conversation"
	"apnsbridge/bridge/lane"
	"apnsbridge/bridge/upstream"
	"apnsbridge/store"
)

// Stats is a snapshot of a bridge.
type Stats struct {
	Now          int64  // when it was made, in seconds since 1970, by the clock of WaitingStats.Oldest
	Sessions     int    // connections that are open, or have notifications without a verdict
	Unsettled    int64  // notifications without a verdict
	QueuedBytes  int64  // what they cost, against Limits.QueuedBytes
	Retrying     int    // devices that wait for another attempt, against Limits.WaitingDevices
	FeedbackWait int    // feedback entries that wait for the store
	Clients      int    // with a session, or with something remembered
	LedgerBytes  int64  // what is remembered behind error packets, against Limits.LedgerBytes
	LedgerWait   int    // records of it that wait for the store, with the packets behind them
	LedgerFailed uint64 // commits of it that the store has refused
	Traced       int    // notifications whose trace is kept, against Limits.TraceEntries
	Limits       Limits
	Apps         map[string]AppStats
}

// AppStats are an app's figures. Counts and Waiting are those of its lanes together.
type AppStats struct {
	Counts
	Waiting WaitingStats // what has no verdict yet
	Lanes   LanesStats   // the app's ways to APNs

	Feedback     uint64                     // entries recorded
	Revived      uint64                     // entries taken off the list, because the device took a push again
	FeedbackLost uint64                     // entries that the store did not take before the process ended
	Packets      map[binproto.Status]uint64 // sent to providers

	BadTokensListed  int    // tokens that are refused without asking APNs
	BadTokensEvicted uint64 // tokens that were forgotten for want of room

	Conversation conversation.Stats // what providers were told, and have sent again
	Pool         upstream.Stats     // what carries them to APNs
}

// Counts count notifications since the start.
type Counts struct {
	Taken        uint64 // good frames
	OverRate     uint64 // frames after which a connection was not read, because its client was over its rate
	SkippedItems uint64 // unknown items of framed notifications
	Accepted     uint64 // by APNs
	Retried      uint64 // attempts after the first
	Ambiguous    uint64 // of those, after no answer: these may arrive twice
	Replayed     uint64 // read from the spool, to be sent
	Known        uint64 // sent again after a crash, and in the spool before it: delivered since, or waiting there

	// What became of the others, by Outcome: the sums of LaneStats.Endings.
	Malformed, DryRun, BadTokens, BadTokensCached, Refused, Unregistered, Unknown uint64
	Expired, Dropped, Crowded, Unreadable, Abandoned                              uint64
}

// WaitingStats is what an app has taken and has no verdict on, wherever it waits.
type WaitingStats struct {
	Notifications int   // in memory, with APNs or on disk
	OnDisk        int   // of those, the ones on disk
	Oldest        int64 // none was taken before it, in seconds since 1970; 0: none has waited longer than a moment
}

// LanesStats are an app's ways to the environments of APNs.
type LanesStats struct{ Production, Sandbox LaneStats }

// LaneStats is the state of a way into one environment.
type LaneStats struct {
	Counts
	Endings map[Ending]uint64
	Times   *Times // nil: APNs has not answered yet
	Waiting WaitingStats
	Pool    upstream.Stats

	ClosedSince int64  // seconds since 1970 from which all but probes wait; 0: they do not
	TopicsShut  int    // topics of which all but probes wait
	Probes      uint64 // sent to find out whether APNs serves again
	Asleep      int    // devices that wait
	AtDoor      int    // of those, the ones that wait until APNs serves the app, or its topic
	Unwritten   int    // notifications on their way to disk
	AheadBytes  int64  // read from disk, without a verdict, against Limits.SpoolAhead
}

// Used reports whether the lane is in use: it has taken or sent something since the
// start, or something waits in it.
func (st *LaneStats) Used() bool {
	return st.Taken+st.Replayed+st.Pool.Dials > 0 || st.Waiting.Notifications > 0 || len(st.Endings) > 0
}

func (w *WaitingStats) add(o WaitingStats) {
	w.Notifications += o.Notifications
	w.OnDisk += o.OnDisk
	if w.Oldest == 0 || o.Oldest != 0 && o.Oldest < w.Oldest {
		w.Oldest = o.Oldest
	}
}

// Stats gives the present figures.
func (b *Bridge) Stats() Stats {
	b.mu.Lock()
	st := Stats{Sessions: len(b.sessions), Limits: b.limits, Apps: make(map[string]AppStats, len(b.apps))}
	pools := make(map[*app]*[2]upstream.Stats)
	for _, o := range b.outlets {
		if pools[o.app] == nil {
			pools[o.app] = new([2]upstream.Stats)
		}
		pools[o.app][o.environment].Add(o.Stats())
	}
	for name, a := range b.apps {
		if a.configured {
			st.Apps[name] = a.stats(pools[a])
		}
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
	st.Clients, st.Now = len(b.clients), b.clock.Nanos(b.now())/int64(time.Second)
	b.mu.Unlock()
	if b.spool != nil {
		st.add(b.spool.Stats())
	}
	st.LedgerBytes = b.ledgerBudget.Used()
	for log := range b.logs() {
		waiting, failures := log.Figures()
		st.LedgerWait, st.LedgerFailed = st.LedgerWait+waiting, st.LedgerFailed+failures
	}
	st.Unsettled = b.unsettled.Load()
	st.QueuedBytes = b.budget.Used()
	st.Retrying = int(b.asleep.Used())
	st.FeedbackWait = b.feedback.Len()
	st.Traced, _ = b.traces.Used()
	return st
}

// stats gives the app's figures, except what its clients were told and what is in the spool.
// pool is what the app's connections do, nil if there are none. The caller holds the bridge's
// lock.
func (a *app) stats(pool *[2]upstream.Stats) AppStats {
	st := AppStats{
		Conversation: a.conversations,
		Feedback:     a.feedback.Recorded.Load(), Revived: a.feedback.Revived.Load(), FeedbackLost: a.feedback.Lost.Load(),
		Packets: a.packets.counts(),
	}
	for e, lane := range [...]*LaneStats{&st.Lanes.Production, &st.Lanes.Sandbox} {
		l := a.lanes[e]
		*lane = l.stats()
		lane.Pool = a.pooled[e]
		if pool != nil {
			lane.Pool.Add(pool[e])
		}
		st.Counts.add(lane.Counts)
		st.Waiting.add(lane.Waiting)
		st.Pool.Add(lane.Pool)
	}
	st.BadTokensListed, st.BadTokensEvicted = a.badTokens.Figures(a.bridge.now())
	return st
}

// add adds what is in the spool. It was asked behind the lanes: what was written meanwhile
// counts twice, and never not at all.
func (st *Stats) add(spool store.SpoolStats) {
	for _, part := range spool.Lines {
		n := part.Log + part.Queued
		st.amend(part.Line, func(app *AppStats, lane *LaneStats) {
			w := WaitingStats{Notifications: n, OnDisk: n, Oldest: part.Since}
			app.Waiting.add(w)
			lane.Waiting.add(w)
		})
	}
	for _, part := range spool.Lost {
		st.amend(part.Line, func(app *AppStats, lane *LaneStats) {
			if lane.Endings == nil {
				lane.Endings = make(map[Ending]uint64)
			}
			lane.Endings[Ending{Outcome: Unreadable}] += uint64(part.Records)
			lane.Unreadable += uint64(part.Records)
			app.Unreadable += uint64(part.Records)
		})
	}
}

// amend changes the figures of an app and of the lane to which a line belongs.
func (st *Stats) amend(line store.Line, change func(*AppStats, *LaneStats)) {
	app, ok := st.Apps[line.App]
	lane := map[string]*LaneStats{
		Production.String(): &app.Lanes.Production, Sandbox.String(): &app.Lanes.Sandbox}[line.Environment]
	if ok && lane != nil {
		change(&app, lane)
		st.Apps[line.App] = app
	}
}

// stats gives the lane's figures, except those of its connections and of the spool.
func (l *appLane) stats() LaneStats {
	now := l.lock()
	core := l.core.Stats()
	oldest := l.core.Oldest(func(it *lane.Item) int64 { return of(it).taken })
	var times *Times
	if l.times != nil {
		t := *l.times
		times = &t
	}
	l.mu.Unlock()
	endings := l.endings.counts()
	st := LaneStats{
		Counts: l.counts(endings), Endings: endings, Times: times,
		Waiting: WaitingStats{Notifications: core.Unstored, Oldest: oldest / int64(time.Second)},
		Probes:  core.Probes, Asleep: core.Asleep, AtDoor: core.AtDoor, Unwritten: core.Unwritten, AheadBytes: core.Ahead,
		TopicsShut: len(core.Closed),
	}
	since := time.Duration(math.MaxInt64)
	if core.Reason != lane.Open {
		since = core.Since
	}
	for _, n := range core.Closed {
		since = min(since, n.Since)
	}
	if since != math.MaxInt64 {
		st.ClosedSince = now.Time.Add(since - now.Mono).Unix()
	}
	return st
}

// Serves reports whether APNs takes the notifications of an app, or a part of them,
// as far as is known.
func (b *Bridge) Serves(app string) bool {
	a := b.appOf(app)
	return a != nil && a.health.Served()
}

// Problems says for each app why APNs does not take its notifications. Apps that are
// well, or have not sent anything yet, are not in it.
func (b *Bridge) Problems() map[string]string { return b.ProblemsBy(b.Stats()) }

// ProblemsBy is Problems for a caller that has the figures already.
func (b *Bridge) ProblemsBy(stats Stats) map[string]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	problems := make(map[string]string)
	for name, a := range b.apps {
		problem := a.health.State()
		if problem == "" || !a.configured || a.route.Load().app.DryRun {
			continue
		}
		st := stats.Apps[name]
		since := ""
		for _, l := range [...]LaneStats{st.Lanes.Production, st.Lanes.Sandbox} {
			if l.ClosedSince != 0 {
				since += fmt.Sprintf(" since %s,", time.Unix(l.ClosedSince, 0).UTC().Format(time.RFC3339))
			}
		}
		if since != "" || st.Waiting.Notifications > 0 {
			problem += fmt.Sprintf(";%s %d notifications wait", since, st.Waiting.Notifications)
		}
		problems[name] = problem
	}
	return problems
}
