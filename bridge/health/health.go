// Package health says of an app whether APNs takes its notifications, and logs it when
// that changes.
package health

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
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
// notifications, and each strange word of APNs once. It is safe for concurrent use.
type Health struct {
	app      string
	log      zerolog.Logger
	ill      atomic.Bool    // there are problems
	well     [2]atomic.Bool // by environment: something was accepted since all of it had a problem
	crowd    *pace.Fault
	mu       sync.Mutex
	problems map[Scope]string
	news     news // of problems
	strange  map[answer]struct{}
}

// New makes the health of an app, which is well.
func New(app string, log zerolog.Logger) *Health {
	return &Health{app: app, log: log, crowd: pace.NewFault(log.With().Str("app", app).Logger(), time.Now,
		"notifications are given up", "none are given up any more")}
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

// answer is a status of HTTP and the word with it.
type answer struct {
	code   int
	reason string
}

// strangeWords is how many unknown reasons an app remembers having logged.
const strangeWords = 64

// Note takes the verdict on an attempt, or of a connection, which says puts in a sentence;
// only is whether it concerns all topics in the environment. It logs changes only, and of
// these not too many.
func (h *Health) Note(at Scope, only bool, v upstream.Verdict, says func(upstream.Verdict) string) {
	all := Scope{Environment: at.Environment}
	if !only {
		all = at
	}
	switch v.Class {
	case upstream.Accepted:
		all.Line = ""
		if well := &h.well[at.Environment]; !well.Load() {
			well.Store(true)
		}
	case upstream.CredentialRefused, upstream.StaleToken, upstream.TokenUpdates, upstream.ServerError, upstream.NoConnection:
		h.unwell(all)
	case upstream.TopicRefused:
		h.unwell(at)
	}
	switch v.Class {
	case upstream.Accepted:
		if h.ill.Load() {
			h.Say(all, "")
			h.Say(at, "")
		}
	case upstream.CredentialRefused, upstream.StaleToken:
		h.Say(all, "APNs does not take this app's pushes: "+says(v))
	case upstream.TopicRefused:
		h.Say(at, "APNs does not take this app's pushes: "+says(v))
	case upstream.TokenUpdates:
		h.Say(all, "APNs takes no pushes under another JWT so soon: "+says(v))
	case upstream.ServerError:
		h.Say(all, "APNs is not well: "+says(v))
	case upstream.NoConnection:
		text := "APNs cannot be reached: "
		if v.Code != 0 { // it has answered
			text = fmt.Sprintf("APNs takes nothing on any connection: %d ", v.Code)
		}
		text += v.Words()
		if v.Remedy != "" {
			text += ": " + v.Remedy
		}
		h.Say(all, text)
	case upstream.Unprocessed:
		h.Say(all, "APNs is not well: "+v.Words()+": "+v.Remedy)
	case upstream.Unknown:
		h.Say(all, "APNs answers in words that are not known here: "+says(v))
		h.wonder(answer{v.Code, v.Reason})
	}
}

// unwell notes that nothing is accepted of a scope.
func (h *Health) unwell(at Scope) {
	if at.Line == "" {
		h.well[at.Environment].Store(false)
	}
}

// Ill reports whether there are problems.
func (h *Health) Ill() bool { return h.ill.Load() }

// Served reports whether APNs takes what is the app's, or a part of it.
func (h *Health) Served() bool {
	return !h.ill.Load() || h.well[0].Load() || h.well[1].Load()
}

// Say says what the problem with at is; "" that there is none any more.
func (h *Health) Say(at Scope, problem string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if withoutExample(h.problems[at]) == withoutExample(problem) {
		return
	}
	if problem == "" {
		delete(h.problems, at)
	} else {
		if h.problems == nil {
			h.problems = make(map[Scope]string)
		}
		h.problems[at] = problem
	}
	h.ill.Store(len(h.problems) > 0)
	if h.news.changed() {
		h.tell(problem, 0)
	}
}

// withoutExample is a problem without the topic and device, of many, that it was met
// with: the same problem with others is no news.
func withoutExample(problem string) string {
	for _, environment := range []string{"production", "sandbox"} {
		if said, _, ok := strings.Cut(problem, " ("+environment); ok {
			return said
		}
	}
	return problem
}

// Over says that what was told in a sentence that begins so is over, wherever it was.
func (h *Health) Over(problem string) {
	h.mu.Lock()
	var all []Scope
	for at, p := range h.problems {
		if strings.HasPrefix(p, problem) {
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
	maps.DeleteFunc(h.problems, func(at Scope, _ string) bool { return gone(at) })
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

func (h *Health) wonder(said answer) {
	h.mu.Lock()
	_, old := h.strange[said]
	if !old && len(h.strange) < strangeWords {
		if h.strange == nil {
			h.strange = make(map[answer]struct{})
		}
		h.strange[said] = struct{}{}
	}
	h.mu.Unlock()
	if !old {
		h.log.Error().Str("app", h.app).Int("code", said.code).Str("reason", said.reason).
			Msg("APNs answers in words that are not known here")
	}
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
	text := h.problems[first]
	if n := len(h.problems) - 1; n > 0 {
		text += fmt.Sprintf(" (and so for %d other topics or environments)", n)
	}
	return text
}
