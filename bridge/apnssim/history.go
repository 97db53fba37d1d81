package apnssim

// history remembers the latest streams that a client has opened, to tell what
// is wrong with a frame for one that is no more.
type history [256]struct {
	id      uint32
	aborted bool // by us, which the client may not have known
}

func (h *history) opened(id uint32)  { h.set(id, false) }
func (h *history) aborted(id uint32) { h.set(id, true) }

func (h *history) set(id uint32, aborted bool) {
	slot := &h[id/2%uint32(len(h))]
	slot.id, slot.aborted = id, aborted
}

func (h *history) find(id uint32) (opened, aborted bool) {
	slot := h[id/2%uint32(len(h))]
	return slot.id == id, slot.id == id && slot.aborted
}
