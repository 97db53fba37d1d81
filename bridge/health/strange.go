package health

// answer is a status of HTTP and the word with it.
type answer struct {
	code   int
	reason string
}

// strangeWords is how many unknown reasons an app remembers having logged. A server that has a new one for each
// notification is no APNs: of the others a line tells now and then.
const strangeWords = 64

// wonder logs a word of APNs that is not known, once.
func (h *Health) wonder(said answer) {
	h.mu.Lock()
	_, old := h.strange[said]
	full := len(h.strange) >= strangeWords
	if !old && !full {
		if h.strange == nil {
			h.strange = make(map[answer]struct{})
		}
		h.strange[said] = struct{}{}
	}
	h.mu.Unlock()
	if !old {
		e := h.log.Error()
		if full {
			e = h.stranger.Warn()
		}
		e.Str("app", h.app).Int("code", said.code).Str("reason", said.reason).
			Msg("APNs gives a reason that is not known here")
	}
}
