package bridge

import (
	"fmt"
	"sync/atomic"
	"time"

	"apnsbridge/bridge/conversation"
	"apnsbridge/bridge/upstream"
)

// Stats is a snapshot of a bridge.
type Stats struct {
	Sessions     int    // connections open, or with notifications without a verdict
	Unsettled    int64  // notifications without a verdict
	QueuedBytes  int64  // what they cost, against Limits.QueuedBytes
	Retrying     int    // of those, waiting for another attempt
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
	BadTokens    uint64 // refused for their token
	Refused      uint64 // refused for another fault of the provider
	Unregistered uint64 // for devices that have gone
	Unknown      uint64 // answered in words not known here
	Feedback     uint64 // entries recorded
	Revived      uint64 // entries taken off the list, for the device took a push again
	FeedbackLost uint64 // entries the store did not take before the end
	Expired      uint64 // before APNs took them
	Dropped      uint64 // given up after retries
	Retried      uint64 // attempts after the first
	Ambiguous    uint64 // of those, after no answer: these may double
	Replayed     uint64 // read from the spool, to be sent
	Unreadable   uint64 // of the spool's notifications, that could not be read
	Abandoned    uint64 // without a verdict at the end, and not in the spool

	Breaker BreakerStats // while APNs does not serve
	Spool   ShelfStats   // what waits on disk

	Held             int    // of an app that is to blame for refusals itself
	BadTokensListed  int    // tokens that are answered without asking APNs
	BadTokensCached  uint64 // notifications answered so
	BadTokensEvicted uint64 // tokens forgotten for want of room

	Conversation conversation.Stats // what providers were told, and have sent again
	Pool         upstream.Stats     // what carries them to APNs
}

type counters struct {
	taken, malformed, overRate, skippedItems            atomic.Uint64
	accepted, badTokens, refused, unregistered, unknown atomic.Uint64
	feedback, revived, feedbackLost                     atomic.Uint64
	expired, dropped                                    atomic.Uint64
	retried, ambiguous, abandoned                       atomic.Uint64
	replayed, unreadable                                atomic.Uint64
}

func (c *counters) stats() AppStats {
	return AppStats{
		Taken: c.taken.Load(), Malformed: c.malformed.Load(), OverRate: c.overRate.Load(), SkippedItems: c.skippedItems.Load(),
		Accepted: c.accepted.Load(), BadTokens: c.badTokens.Load(), Refused: c.refused.Load(),
		Unregistered: c.unregistered.Load(), Unknown: c.unknown.Load(),
		Feedback: c.feedback.Load(), Revived: c.revived.Load(), FeedbackLost: c.feedbackLost.Load(),
		Expired: c.expired.Load(), Dropped: c.dropped.Load(),
		Retried: c.retried.Load(), Ambiguous: c.ambiguous.Load(), Replayed: c.replayed.Load(), Unreadable: c.unreadable.Load(), Abandoned: c.abandoned.Load(),
	}
}

// Stats gives the present figures.
func (b *Bridge) Stats() Stats {
	b.mu.Lock()
	st := Stats{Sessions: len(b.sessions), Limits: b.limits, Apps: make(map[string]AppStats, len(b.apps))}
	for name, a := range b.apps {
		app := a.counters.stats()
		app.Conversation, app.Pool = a.conversations, a.pooled
		app.Held = a.hold.len()
		app.Breaker = BreakerStats{a.gates[Production].stats(), a.gates[Sandbox].stats()}
		app.Spool = a.shelf.stats()
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
	st.Retrying = b.waiting.len()
	st.FeedbackWait = b.feedback.len()
	return st
}

// Problems says for each app why APNs does not take its notifications; apps
// that are well, or have not tried yet, are not in it.
func (b *Bridge) Problems() map[string]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	problems := make(map[string]string)
	for name, a := range b.apps {
		problem := a.health.state()
		if problem == "" {
			continue
		}
		for e := range a.gates {
			if st := a.gates[e].stats(); st.OpenSince != 0 {
				problem += fmt.Sprintf("; since %s, %d notifications wait", time.Unix(st.OpenSince, 0).UTC().Format(time.RFC3339), st.Waiting)
			}
		}
		problems[name] = problem
	}
	return problems
}
