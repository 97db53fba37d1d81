package bridge

import (
	"errors"
	"fmt"
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
	app     string
	ill     atomic.Bool // problem is set
	mu      sync.Mutex
	problem string
	news    news // of problem
	strange map[answer]struct{}
	crowd   complaint // given up for want of room
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

// said is what APNs has said, and what to do about it.
func said(what string, v upstream.Verdict, remedy string) string {
	text := fmt.Sprintf("%s: %d %s", what, v.Code, clip(v.Reason))
	if v.Code == 0 { // it was said at a connection's end
		text = what + ": " + clip(v.Reason)
	}
	if remedy != "" {
		text += ": " + remedy
	}
	return text
}

// clip is as much of a stranger's words as fits in a sentence.
func clip(words string) string {
	const most = 200
	if len(words) > most {
		words = strings.ToValidUTF8(words[:most], "") + "…"
	}
	return words
}

// note takes the verdict on each attempt; remedy is what the operator can do about
// it. It logs changes only, and of these not too many.
func (h *health) note(v upstream.Verdict, remedy func() string, log zerolog.Logger) {
	switch v.Class {
	case upstream.Accepted:
		if h.ill.Load() {
			h.set("", log)
		}
	case upstream.CredentialRefused, upstream.TopicRefused, upstream.StaleToken:
		h.set(said("APNs does not take this app's pushes", v, remedy()), log)
	case upstream.TokenUpdates:
		h.set(said("APNs takes no pushes under another JWT so soon", v, remedy()), log)
	case upstream.ServerError:
		h.set(said("APNs is not well", v, ""), log)
	case upstream.NoConnection:
		h.set("APNs cannot be reached: "+clip(v.Reason), log)
	case upstream.Unknown:
		h.set(said("APNs answers in words that are not known here", v, remedy()), log)
		h.wonder(answer{v.Code, v.Reason}, log)
	}
}

func (h *health) set(problem string, log zerolog.Logger) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.problem == problem {
		return
	}
	h.problem = problem
	h.ill.Store(problem != "")
	if h.news.changed() {
		h.tell(log, 0)
	}
}

// tick tells the time. It logs how things stand if they have changed too often
// to log each change.
func (h *health) tick(now time.Time, log zerolog.Logger) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if untold := h.news.tick(now); untold > 0 {
		h.tell(log, untold)
	}
}

// tell logs how things stand, and how often they have changed without a word.
func (h *health) tell(log zerolog.Logger, changes int) {
	event, says := log.Error(), h.problem
	if says == "" {
		event, says = log.Info(), "APNs accepts again"
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
	return h.problem
}
