package bridge

import "time"

// heldRecords are notifications of an app that may not go now, in their order.
// Each of them is the first of its device. queued_bytes bounds them, or what is read
// ahead of a spool. It has no lock.
type heldRecords struct {
	list    []*record
	expires int64 // no later than any of them; 0 if none does
}

func (h *heldRecords) len() int { return len(h.list) }

func (h *heldRecords) add(r *record) {
	h.list = append(h.list, r)
	h.note(r)
}

func (h *heldRecords) note(r *record) {
	if r.expires != 0 && (h.expires == 0 || r.expires < h.expires) {
		h.expires = r.expires
	}
}

// takeExpired takes out all that have expired. It may be asked often.
func (h *heldRecords) takeExpired(now time.Time) (expired []*record) {
	if due(h.expires, now) {
		return nil
	}
	h.expires = 0
	live := h.list[:0]
	for _, r := range h.list {
		if due(r.expires, now) {
			live = append(live, r)
			h.note(r)
			continue
		}
		expired = append(expired, r)
	}
	clear(h.list[len(live):])
	h.list = live
	return expired
}

// takeProbe takes out the first that APNs has not been asked about yet, or else
// the first. A probe that comes back goes behind the others: so each has its
// turn.
func (h *heldRecords) takeProbe() (probe *record) {
	if len(h.list) == 0 {
		return nil
	}
	at := 0
	for i, r := range h.list {
		if r.Attempts == 0 {
			at = i
			break
		}
	}
	probe = h.list[at]
	copy(h.list[at:], h.list[at+1:])
	last := len(h.list) - 1
	h.list[last] = nil
	h.list = h.list[:last]
	return probe
}

// release takes out the first n, in their order; all if there are no more.
func (h *heldRecords) release(n int) []*record {
	n = min(n, len(h.list))
	first := make([]*record, n)
	copy(first, h.list)
	clear(h.list[:n])
	if h.list = h.list[n:]; len(h.list) == 0 {
		h.list, h.expires = nil, 0
	}
	return first
}

// releaseAll takes out all, in their order.
func (h *heldRecords) releaseAll() []*record {
	all := h.list
	*h = heldRecords{}
	return all
}
