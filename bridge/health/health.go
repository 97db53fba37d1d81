// Package health says of an app whether APNs takes its notifications, and logs it when
// that changes.
package health

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/bridge/pace"
	"apnsbridge/bridge/upstream"
)

// Health is what an operator is told of an app: whether APNs takes its
// notifications, and each strange word of APNs once, as far as they are few. It is safe for concurrent use.
type Health struct {
	app      string
	log      zerolog.Logger
	ill      atomic.Bool // there are problems
	served   [2]Served   // environments
	unserved [2]Served   // when all of an environment had a problem last
	crowd    *pace.Fault
	mu       sync.Mutex
	problems map[Scope]problem
	news     news // of problems
	strange  map[answer]struct{}
	stranger zerolog.Logger // for strange words beyond strangeWords
}

// New makes the health of an app, which is well.
func New(app string, log zerolog.Logger) *Health {
	return &Health{app: app, log: log, crowd: pace.NewFault(log.With().Str("app", app).Logger(), time.Now,
		"notifications are given up", "none are given up any more"),
		stranger: pace.Lines(log, pace.Rate{Count: 1, Per: time.Minute})}
}

// Environment is one of APNs' two, 0 or 1.
type Environment uint8

// Scope is what a problem concerns: the line of a topic that is written down, in an
// environment; with "" the configured topic, or all there. What APNs accepts elsewhere
// does not end it.
type Scope struct {
	Environment Environment
	Line        string
}

var errCrowded = errors.New("memory, or what one device may take of the spool, is full of what waits for a device")

// Crowded says that a notification was given up behind a device that waits.
func (h *Health) Crowded() { h.crowd.Met(errCrowded) }

// Note takes the verdict on an attempt, or of a connection, which says puts in a sentence;
// only is whether it concerns all topics in the environment. It logs changes only, and of
// these not too many. Verdicts may be noted in another order than that in which they came.
func (h *Health) Note(at Scope, came Came, only bool, v upstream.Verdict, says func(upstream.Verdict) string) {
	all := Scope{Environment: at.Environment}
	if !only {
		all = at
	}
	switch v.Class {
	case upstream.Accepted:
		all.Line = ""
		h.served[at.Environment].note(came.When)
		came.Line.note(came.When)
	case upstream.CredentialRefused, upstream.StaleToken, upstream.TokenUpdates, upstream.ServerError,
		upstream.NoConnection:
		h.unserve(all, came)
	case upstream.TopicRefused:
		h.unserve(at, came)
	}
	switch v.Class {
	case upstream.Accepted:
		if h.ill.Load() {
			h.say(all, problem{since: came.When}, nil)
			h.say(at, problem{since: came.When}, nil)
		}
	case upstream.CredentialRefused, upstream.StaleToken:
		h.say(all, problem{"APNs does not take this app's pushes: " + says(v), came.When}, h.lastServed(all, came))
	case upstream.TopicRefused:
		h.say(at, problem{"APNs does not take this app's pushes: " + says(v), came.When}, h.lastServed(at, came))
	case upstream.TokenUpdates:
		h.say(all, problem{"APNs takes no pushes under another JWT so soon: " + says(v), came.When}, h.lastServed(all, came))
	case upstream.ServerError:
		h.say(all, problem{"APNs is not well: " + says(v), came.When}, h.lastServed(all, came))
	case upstream.NoConnection:
		text := "APNs cannot be reached: "
		if v.Code != 0 { // it has answered
			text = fmt.Sprintf("APNs takes nothing on any connection: %d ", v.Code)
		}
		text += v.Words()
		if v.Remedy != "" {
			text += ": " + v.Remedy
		}
		h.say(all, problem{text, came.When}, h.lastServed(all, came))
	case upstream.Unprocessed:
		h.say(all, problem{"APNs is not well: " + v.Words() + ": " + v.Remedy, came.When}, h.lastServed(all, came))
	case upstream.Unknown:
		h.say(all, problem{"APNs gives a reason that is not known here: " + says(v), came.When}, h.lastServed(all, came))
		h.wonder(answer{v.Code, v.Reason})
	}
}

// Ill reports whether there are problems.
func (h *Health) Ill() bool { return h.ill.Load() }

// Served reports whether APNs takes what is the app's, or a part of it.
func (h *Health) Served() bool {
	if !h.ill.Load() {
		return true
	}
	for e := range h.served {
		if h.served[e].last() > h.unserved[e].last() {
			return true
		}
	}
	return false
}

// problem is a sentence, empty for none, with the time of the latest verdict behind it.
type problem struct {
	says  string
	since time.Duration
}

// unknown is the time of what is said without a verdict: that of the problem before.
const unknown = -1

// Say says what the problem with at is; "" that there is none any more.
func (h *Health) Say(at Scope, says string) {
	if says == "" {
		h.say(at, problem{since: math.MaxInt64}, nil)
		return
	}
	h.say(at, problem{says, unknown}, nil)
}

// Suspect says that the problem with at is a suspicion, and the answer of APNs that it goes back
// to. After a restart, with a suspicion from before it, there is none.
func (h *Health) Suspect(at Scope, says, answer string) {
	if answer != "" {
		says += ". The last answer: " + answer
	}
	h.Say(at, says)
}

// say is Say for a verdict. It is of no interest where at was served since.
func (h *Health) say(at Scope, p problem, served *Served) {
	h.mu.Lock()
	defer h.mu.Unlock()
	old := h.problems[at]
	if p.since == unknown {
		p.since = old.since
	}
	if p.since < old.since {
		return
	}
	if p.says != "" {
		h.ill.Store(true) // before the look at served: who notes an acceptance looks the other way round
		defer func() { h.ill.Store(len(h.problems) > 0) }()
		if served.last() > p.since {
			return
		}
	}
	if WithoutExample(old.says) == WithoutExample(p.says) {
		if old.says != "" {
			h.problems[at] = problem{old.says, p.since}
		}
		return
	}
	if p.says == "" {
		delete(h.problems, at)
	} else {
		if h.problems == nil {
			h.problems = make(map[Scope]problem)
		}
		h.problems[at] = p
	}
	h.ill.Store(len(h.problems) > 0)
	if h.news.changed() {
		h.tell(p.says, 0)
	}
}

// WithoutExample is a problem without the topic and device, of many, that it was met
// with, and what follows on them: the same problem with others is no news.
func WithoutExample(says string) string {
	for _, environment := range []string{"production", "sandbox"} {
		if said, _, ok := strings.Cut(says, " ("+environment); ok {
			return said
		}
	}
	return says
}

// Over says that what was told in a sentence that begins so is over, wherever it was.
func (h *Health) Over(says string) {
	h.mu.Lock()
	var all []Scope
	for at, p := range h.problems {
		if strings.HasPrefix(p.says, says) {
			all = append(all, at)
		}
	}
	h.mu.Unlock()
	for _, at := range all {
		h.Say(at, "")
	}
}

// Forget drops the problems with what is not there any more.
func (h *Health) Forget(gone func(Scope) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	maps.DeleteFunc(h.problems, func(at Scope, _ problem) bool { return gone(at) })
	h.ill.Store(len(h.problems) > 0)
}

// Tick tells the time. It logs how things stand if they have changed too often
// to log each change.
func (h *Health) Tick(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if untold := h.news.tick(now); untold > 0 {
		h.tell(h.sentence(), untold)
	}
}

// tell logs how things stand, and how often they have changed without a word.
func (h *Health) tell(says string, changes int) {
	event := h.log.Error()
	if says == "" {
		event, says = h.log.Info(), "APNs accepts again"
		if len(h.problems) > 0 {
			says = "APNs accepts again, but: " + h.sentence()
		}
	}
	if changes > 0 {
		event.Int("changes", changes)
	}
	event.Str("app", h.app).Msg(says)
}

// State says how things stand, in a sentence; empty: APNs takes what is the app's.
func (h *Health) State() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sentence()
}

// sentence is the first of the problems, those that concern all topics before others,
// and how many others there are. h.mu is held.
func (h *Health) sentence() string {
	if len(h.problems) == 0 {
		return ""
	}
	first := slices.MinFunc(slices.Collect(maps.Keys(h.problems)), func(a, b Scope) int {
		return cmp.Or(cmp.Compare(a.Environment, b.Environment), strings.Compare(a.Line, b.Line))
	})
	text := h.problems[first].says
	if n := len(h.problems) - 1; n > 0 {
		text += fmt.Sprintf(" (and so for %d other topics or environments)", n)
	}
	return text
}
