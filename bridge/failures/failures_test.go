package failures

import (
	"testing"
	"time"

	"apnsbridge/binproto"
)

// The latest failures are kept, each with its packet, and keeping one costs no memory.
func TestFailuresAreBounded(t *testing.T) {
	var r List
	at := func(i int) time.Time { return time.Unix(int64(i), 0) }
	of := func(session uint64, i int) Failure {
		return Failure{Time: at(i), Session: session, Identifier: uint32(i), Status: binproto.InvalidToken}
	}
	if got := r.Latest(); len(got) != 0 {
		t.Errorf("got %v before there was any", got)
	}
	for i := range 3*Kept + 7 {
		r.Add(of(1, i))
		all := r.Latest()
		if want := min(i+1, Kept); len(all) != want || all[0].Identifier != uint32(i) || all[want-1].Identifier != uint32(i-want+1) {
			t.Fatalf("after %d: %d are kept, from %d to %d", i+1, len(all), all[len(all)-1].Identifier, all[0].Identifier)
		}
		if i%3 == 0 {
			packet := of(1, i)
			packet.Time = at(1000)
			r.Tell(packet)
			if all = r.Latest(); all[0].Told != at(1000) || all[0].Time != at(i) || len(all) > 1 && all[1].Identifier != uint32(i-1) {
				t.Fatalf("the packet about %d: got %+v", i, all[0])
			}
		}
	}
	for name, packet := range map[string]Failure{"another session": of(2, 3*Kept), "gone by now": of(1, 2),
		"told already": of(1, 3*Kept+6)} {
		r.Tell(packet)
		if got := r.Latest()[0]; got.Session != packet.Session || got.Identifier != packet.Identifier || got.Told != packet.Time {
			t.Errorf("a packet about one of %s: got %+v", name, got)
		}
	}
	if allocs := testing.AllocsPerRun(100, func() { r.Add(of(1, 1)) }); allocs != 0 {
		t.Errorf("%v allocations a failure", allocs)
	}
}
