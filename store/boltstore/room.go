package boltstore

// A part of a spool's bytes is each queue's own, and never used by another: one
// whose records nobody takes must not stop the others. With more queues than
// ownParts these parts go a little beyond the bound.
const (
	ownPart  = 256 // of the bound: one of these parts is a queue's own
	ownParts = 16
)

// room says how much a spool may hold.
type room struct {
	own    int64 // bytes of one queue
	common int64 // for what goes beyond that
	beyond int64 // of common, what is used
}

func newRoom(bytes int64) room {
	own := bytes / ownPart
	return room{own: own, common: bytes - ownParts*own}
}

// grow counts n more bytes of q, or with n below 0 fewer.
func (h *holdings) grow(q *queue, n int64) {
	was := max(0, q.bytes-h.room.own)
	q.bytes += n
	h.bytes += n
	h.room.beyond += max(0, q.bytes-h.room.own) - was
}

// fits says whether there is room for parts that cost so many bytes.
func (h *holdings) fits(parts []part, cost func(size int) int64) bool {
	before := h.room.beyond
	for i := range parts {
		h.grow(h.queue(parts[i].queue), cost(parts[i].head.size))
	}
	after := h.room.beyond
	for i := range parts {
		q := h.queue(parts[i].queue)
		h.grow(q, -cost(parts[i].head.size))
		h.tidy(q)
	}
	return after <= h.room.common || after == before
}
