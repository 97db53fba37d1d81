package boltstore

import (
	"fmt"

	"apnsbridge/store"
)

const (
	maxSegment = 4 << 20 // bytes at which a segment is full, at most
	minSegment = 16 << 10
	maxCommit  = 16 << 20 // bytes in one commit; further Puts wait for the next
)

// Each app has a part of the bytes for itself, which no other app uses: an app whose
// records are not taken must not stop the others. With more apps than ownShares these
// parts exceed the bound a little.
const (
	ownFraction = 256 // an app's own part is this fraction of the bound
	ownShares   = 16
)

// bounds are in bytes.
type bounds struct {
	total   int64
	common  int64 // of total: shared, for what exceeds an app's own part
	own     int64
	reserve int64 // beyond total, for moves and rewrites
	room    int64 // of reserve: kept on disk for when the disk is full, to be able to write what frees space
	device  int64 // of one device's queue, for what is put there and not moved there
	segment int64 // at which a segment is full
}

func newBounds(o Options) bounds {
	own := o.SpoolBytes / ownFraction
	b := bounds{
		total: o.SpoolBytes, common: o.SpoolBytes - ownShares*own, own: own,
		reserve: o.SpoolReserve, device: o.SpoolDevice,
		segment: max(minSegment, min(maxSegment, o.SpoolBytes/64)),
	}
	b.room = min(b.reserve, b.segment) / 2
	return b
}

// fits makes sure that the caller of w may put its records, and that there is room for
// them. The caller of fits holds s.mu.
func (s *Spool) fits(w *put) error {
	moved, added, devices := int64(0), int64(0), make(map[uint64]int64)
	for n, r := range w.all {
		if r.ID == 0 {
			if added += n.cost(r); r.Queued && s.total() > s.bounds.total/2 {
				device := s.device(n, r.Token)
				devices[device] += n.cost(r)
				if s.queues.devices.bytes(device)+devices[device] > s.bounds.device {
					return store.ErrDeviceFull
				}
			}
			continue
		}
		switch h, _ := s.held.Get(r.ID); {
		case h.line != n || h.done || h.device != 0 && h.device != s.device(n, r.Token):
			return fmt.Errorf("%w: record %d is not checked out by the caller", store.ErrUnstorable, r.ID)
		case h.device == 0:
			moved += n.cost(r)
		}
	}
	switch {
	case added+moved == 0:
		return nil
	case s.total()+added+moved > s.bounds.total+s.bounds.reserve-s.bounds.room:
		return store.ErrSpoolFull
	case added == 0 || s.total()+added <= s.bounds.common:
		return nil
	}
	apps := make(map[string]int64)
	for l, n := range s.lines.by {
		apps[l.App] += n.Bytes.Load() + n.bytes
	}
	for _, n := range w.lines {
		if apps[n.App]+added > s.bounds.own {
			return store.ErrSpoolFull
		}
	}
	return nil
}
