package bridge

import "time"

// heldRecords are the notifications of an app on hold, in their order. Each of
// them is the first of its device and still has its place in a window: so
// windows and queued_bytes bound them. Expired ones leave when they are looked
// at. It has no lock.
type heldRecords struct{ list []*record }

func (h *heldRecords) len() int { return len(h.list) }

func (h *heldRecords) add(r *record) { h.list = append(h.list, r) }

// takeProbe takes out the first that APNs has not been asked about yet, or else
// the first, and all that have expired. A probe that comes back goes behind the
// others: so each has its turn.
func (h *heldRecords) takeProbe(now time.Time) (probe *record, expired []*record) {
	live := h.list[:0]
	at := 0 // of the probe in live
	for _, r := range h.list {
		if !due(r.expires, now) {
			expired = append(expired, r)
			continue
		}
		live = append(live, r)
		if r.plan.attempts == 0 && live[at].plan.attempts > 0 {
			at = len(live) - 1
		}
	}
	if len(live) > 0 {
		probe = live[at]
		live = append(live[:at], live[at+1:]...)
	}
	clear(h.list[len(live):])
	h.list = live
	return probe, expired
}

// releaseAll takes out all, in their order.
func (h *heldRecords) releaseAll() []*record {
	all := h.list
	h.list = nil
	return all
}
