package conversation

import "reflect"

// Stats counts what a client's ledger has done since it was made, and tells what it holds
// now.
type Stats struct {
	// Failures that were told by a packet, and those that were not, by reason.
	Packets           uint64
	Shutdowns         uint64 // packets of status 10
	SkippedContinue   uint64 // packets are switched off for such failures
	SkippedNever      uint64 // the kind never sends again
	SkippedMute       uint64 // the connection cannot carry a packet, as with CBC in TLS 1.0, or must not now
	SkippedNoName     uint64 // the frame has no identifier
	SkippedConstant   uint64 // the frame has the identifier of its neighbour
	SkippedStatus     uint64 // the status is never reported
	TakenOver         uint64 // heads that held up a failure for too long
	Untold            uint64 // refused behind a failure, or after the connection was gone
	Blind             uint64 // packets that the provider did not get
	Remembered        uint64 // notifications behind a packet
	SwallowedSame     uint64 // sent again under the same identifier
	SwallowedOther    uint64 // sent again under another one, or none
	SwallowedPending  uint64 // of the two above: whose original had no verdict yet
	SwallowedReset    uint64 // sent again after a reset without packet, the original pending
	PairedEarly       uint64 // originals read after they had been sent again
	SentAfterAll      uint64 // swallowed, then sent because the original was not
	ListsRepeated     uint64 // episodes given up because the provider began its list anew
	Misses            uint64 // episodes whose tail did not come again
	ProvedResending   uint64 // kinds that were found to send again
	BecameNever       uint64
	Evicted           uint64 // remembered notifications given up for want of room
	OutOfReach        uint64 // given up because a run began behind them: the library does not keep that many
	ExpiredUnused     uint64 // remembered notifications that did not come again in their time
	Entries, Episodes int    // remembered now
	Unsaved           int    // episodes whose record is out of date
	Bytes             int64  // memory held
	Kinds             int
}

// Stats is a snapshot.
func (l *Ledger) Stats() Stats {
	s := l.stats
	s.Episodes, s.Kinds, s.Bytes = len(l.episodes), len(l.habits), l.bytes
	for _, e := range l.episodes {
		s.Entries += e.live
		if e.record == outdated {
			s.Unsaved++
		}
	}
	return s
}

// Add adds the figures of another ledger.
func (s *Stats) Add(o Stats) {
	to, from := reflect.ValueOf(s).Elem(), reflect.ValueOf(o)
	for i := range from.NumField() {
		switch f := to.Field(i); f.Kind() {
		case reflect.Uint64:
			f.SetUint(f.Uint() + from.Field(i).Uint())
		default:
			f.SetInt(f.Int() + from.Field(i).Int())
		}
	}
}
