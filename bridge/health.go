package bridge

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

	"apnsbridge/bridge/upstream"
)

// health is what an operator is told of an app: whether APNs takes its
// notifications, and each strange word of APNs once.
type health struct {
	app      string
	ill      atomic.Bool    // there are problems
	well     [2]atomic.Bool // by environment: something was accepted since all of it had a problem
	mu       sync.Mutex
	problems map[scope]string
	refusal  lastRefusal
	news     news // of problems
	strange  map[answer]struct{}
	crowd    complaint // given up for want of room
}

// scope is what a problem concerns: the line of a topic that is written down, in an
// environment; with "" the configured topic, or all there. What APNs accepts elsewhere
// does not end it.
type scope struct {
	environment Environment
	line        string
}

var errCrowded = errors.New("memory, or what one device may take of the spool, is full of what waits for a device")

// crowded says that a notification was given up behind a device that waits.
func (h *health) crowded(log zerolog.Logger) {
	h.crowd.mu.Lock()
	if h.crowd.now == nil {
		h.crowd.log, h.crowd.now = log.With().Str("app", h.app).Logger(), time.Now
		h.crowd.what, h.crowd.over = "notifications are given up", "none are given up any more"
	}
	h.crowd.mu.Unlock()
	h.crowd.failed(errCrowded)
}

// answer is a status of HTTP and the word with it.
type answer struct {
	code   int
	reason string
}

// strangeWords is how many unknown reasons an app remembers having logged.
const strangeWords = 64

// clip is as much of a stranger's words as fits in a sentence.
func clip(words string) string {
	const most = 200
	if len(words) > most {
		words = strings.ToValidUTF8(words[:most], "") + "…"
	}
	return words
}

// note takes the verdict on an attempt, or of a connection, and what it is about; only
// is whether there is no other credential in the environment. It logs changes
// only, and of these not too many.
func (h *health) note(at scope, only bool, v upstream.Verdict, about subject, log zerolog.Logger) {
	all := scope{environment: at.environment}
	if !only {
		all = at
	}
	switch v.Class {
	case upstream.Accepted:
		all.line = ""
		if well := &h.well[at.environment]; !well.Load() {
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
			h.say(all, "", log)
			h.say(at, "", log)
		}
	case upstream.CredentialRefused, upstream.StaleToken:
		h.say(all, "APNs does not take this app's pushes: "+about.says(v), log)
	case upstream.TopicRefused:
		h.say(at, "APNs does not take this app's pushes: "+about.says(v), log)
	case upstream.TokenUpdates:
		h.say(all, "APNs takes no pushes under another JWT so soon: "+about.says(v), log)
	case upstream.ServerError:
		h.say(all, "APNs is not well: "+about.says(v), log)
	case upstream.NoConnection:
		text := "APNs cannot be reached: "
		if v.Code != 0 { // it has answered
			text = fmt.Sprintf("APNs takes nothing on any connection: %d ", v.Code)
		}
		text += clip(v.Reason)
		if v.Remedy != "" {
			text += ": " + v.Remedy
		}
		h.say(all, text, log)
	case upstream.Unprocessed:
		h.say(all, "APNs is not well: "+clip(v.Reason)+": "+v.Remedy, log)
	case upstream.Unknown:
		h.say(all, "APNs answers in words that are not known here: "+about.says(v), log)
		h.wonder(answer{v.Code, v.Reason}, log)
	}
}

// unwell notes that nothing is accepted of a scope.
func (h *health) unwell(at scope) {
	if at.line == "" {
		h.well[at.environment].Store(false)
	}
}

// served reports whether APNs takes what is the app's, or a part of it.
func (h *health) served() bool {
	return !h.ill.Load() || h.well[Production].Load() || h.well[Sandbox].Load()
}

// say says what the problem with at is; "" that there is none any more.
func (h *health) say(at scope, problem string, log zerolog.Logger) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if withoutExample(h.problems[at]) == withoutExample(problem) {
		return
	}
	if problem == "" {
		delete(h.problems, at)
	} else {
		if h.problems == nil {
			h.problems = make(map[scope]string)
		}
		h.problems[at] = problem
	}
	h.ill.Store(len(h.problems) > 0)
	if h.news.changed() {
		h.tell(log, problem, 0)
	}
}

// withoutExample is a problem without the topic and device, of many, that it was met
// with: the same problem with others is no news.
func withoutExample(problem string) string {
	for _, e := range []Environment{Production, Sandbox} {
		if said, _, ok := strings.Cut(problem, " ("+e.String()); ok {
			return said
		}
	}
	return problem
}

// over says that what was told in a sentence that begins so is over, wherever it was.
func (h *health) over(problem string, log zerolog.Logger) {
	h.mu.Lock()
	var all []scope
	for at, p := range h.problems {
		if strings.HasPrefix(p, problem) {
			all = append(all, at)
		}
	}
	h.mu.Unlock()
	for _, at := range all {
		h.say(at, "", log)
	}
}

// forget drops the problems with what is not there any more.
func (h *health) forget(gone func(scope) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	maps.DeleteFunc(h.problems, func(at scope, _ string) bool { return gone(at) })
	h.ill.Store(len(h.problems) > 0)
}

// tick tells the time. It logs how things stand if they have changed too often
// to log each change.
func (h *health) tick(now time.Time, log zerolog.Logger) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if untold := h.news.tick(now); untold > 0 {
		h.tell(log, h.sentence(), untold)
	}
}

// tell logs how things stand, and how often they have changed without a word.
func (h *health) tell(log zerolog.Logger, says string, changes int) {
	event := log.Error()
	if says == "" {
		event, says = log.Info(), "APNs accepts again"
		if len(h.problems) > 0 {
			says = "APNs accepts again, but: " + h.sentence()
		}
	}
	if changes > 0 {
		event.Int("changes", changes)
	}
	event.Str("app", h.app).Msg(says)
}

func (h *health) wonder(said answer, log zerolog.Logger) {
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
		log.Error().Str("app", h.app).Int("code", said.code).Str("reason", said.reason).
			Msg("APNs answers in words that are not known here")
	}
}

func (h *health) state() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sentence()
}

// sentence is the first of the problems, those that concern all topics before others,
// and how many others there are. h.mu is held.
func (h *health) sentence() string {
	if len(h.problems) == 0 {
		return ""
	}
	first := slices.MinFunc(slices.Collect(maps.Keys(h.problems)), func(a, b scope) int {
		return cmp.Or(cmp.Compare(a.environment, b.environment), strings.Compare(a.line, b.line))
	})
	text := h.problems[first]
	if n := len(h.problems) - 1; n > 0 {
		text += fmt.Sprintf(" (and so for %d other topics or environments)", n)
	}
	return text
}
