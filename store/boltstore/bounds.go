package boltstore

import "slices"

const (
	maxSegment = 16 << 20 // bytes from which a segment is full
	minSegment = 16 << 10
	maxCommit  = 16 << 20 // bytes from which Puts wait for the next commit
	minReserve = 16 << 20 // unless it is set
)

// A part of the bytes is each app's own, and never used by another: one whose
// records nobody takes must not stop the others. With more apps than ownShares these
// parts go a little beyond the bound.
const (
	ownFraction = 256 // of the bound: one of these parts is an app's own
	ownShares   = 16
)

// bounds are in bytes.
type bounds struct {
	total   int64
	common  int64 // of total, for what goes beyond an app's own part
	own     int64
	reserve int64 // beyond total, for moves and rewrites
	device  int64 // of one device's queue, for what is not moved there
	segment int64 // from which one is full
}

func newBounds(o Options) bounds {
	own := o.SpoolBytes / ownFraction
	b := bounds{
		total: o.SpoolBytes, common: o.SpoolBytes - ownShares*own, own: own, reserve: o.SpoolReserve, device: o.SpoolDevice,
		segment: max(minSegment, min(maxSegment, o.SpoolBytes/64)),
	}
	if b.reserve == 0 {
		b.reserve = max(minReserve, o.SpoolBytes/32)
	}
	if b.device == 0 {
		b.device = o.SpoolBytes / 100
	}
	return b
}

// share is what an app has.
type share struct {
	bytes int64
	lines int
}

// fits reports whether there is room for w, which is counted already.
func (s *Spool) fits(w *put) bool {
	moved := int64(0)
	for _, op := range w.ops {
		if op.kind == opMove {
			moved += op.cost
		}
	}
	new := w.logSize - moved // of what is not moved
	for _, op := range w.ops {
		new += op.cost
	}
	within := !slices.ContainsFunc(w.lines, func(n *line) bool { return n.share.bytes > s.bounds.own })
	switch {
	case new+moved == 0:
		return true
	case s.total > s.bounds.total+s.bounds.reserve:
		return false
	}
	return new == 0 || within || s.total-moved <= s.bounds.common
}
