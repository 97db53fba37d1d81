package bridge

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/rs/zerolog"
)

// health is what an operator is told of an app: whether APNs takes its
// notifications, and each strange word of APNs once.
type health struct {
	app     string
	ill     atomic.Bool // problem is set
	mu      sync.Mutex
	problem string
	strange map[answerKey]struct{}
}

// strangeWords is how many unknown reasons an app remembers having logged.
const strangeWords = 64

// note takes the verdict on each attempt. It logs changes only.
func (h *health) note(v verdict, log zerolog.Logger) {
	switch v.class {
	case accepted:
		if h.ill.Load() {
			h.set("", log)
		}
	case held:
		h.set(fmt.Sprintf("APNs does not take this app's pushes: %d %s", v.code, v.reason), log)
	case tokenUpdates:
		h.set(fmt.Sprintf("APNs takes no pushes under another JWT so soon: %d %s", v.code, v.reason), log)
	case unavailable:
		h.set(fmt.Sprintf("APNs is not well: %d %s", v.code, v.reason), log)
	case unreachable:
		h.set("APNs cannot be reached: "+v.reason, log)
	case unknown:
		h.wonder(answerKey{v.code, v.reason}, log)
	}
}

func (h *health) set(problem string, log zerolog.Logger) {
	h.mu.Lock()
	changed := h.problem != problem
	h.problem = problem
	h.ill.Store(problem != "")
	h.mu.Unlock()
	switch {
	case !changed:
	case problem == "":
		log.Info().Str("app", h.app).Msg("APNs accepts again")
	default:
		log.Error().Str("app", h.app).Msg(problem)
	}
}

func (h *health) wonder(said answerKey, log zerolog.Logger) {
	h.mu.Lock()
	_, old := h.strange[said]
	if !old && len(h.strange) < strangeWords {
		if h.strange == nil {
			h.strange = make(map[answerKey]struct{})
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
