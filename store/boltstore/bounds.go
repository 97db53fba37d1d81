package boltstore

const (
	maxSegment     = 16 << 20 // bytes from which a segment is full
	minSegment     = 16 << 10
	maxCommit      = 16 << 20 // bytes from which Puts wait for the next commit
	defaultReserve = 16 << 20
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
		b.reserve = defaultReserve
	}
	if b.device == 0 {
		b.device = o.SpoolBytes / 100
	}
	return b
}

// share is what an app has.
type share struct {
	bytes int64 // of records that are not done
	puts  int64 // bytes of Puts at work
	lines int
}

// fits reports whether there is room for w.
func (s *LineSpool) fits(w *put) bool {
	if s.total+w.fresh+w.moved > s.bounds.total+s.bounds.reserve {
		return w.fresh+w.moved == 0
	}
	if s.total+w.fresh <= s.bounds.common {
		return true
	}
	for i, n := range w.lines {
		n.share.puts += w.sizes[i]
	}
	within := true
	for i, n := range w.lines {
		within = within && (w.sizes[i] == 0 || n.share.bytes+n.share.puts <= s.bounds.own)
	}
	for i, n := range w.lines {
		n.share.puts -= w.sizes[i]
	}
	return within
}
