package bridge

import (
	"testing"
	"time"

	"apnsbridge/binproto"
)

// The latest failures are kept, each with its packet, and keeping one costs no memory.
func TestFailuresAreBounded(t *testing.T) {
	var r failures
	at := func(i int) time.Time { return time.Unix(int64(i), 0) }
	of := func(session uint64, i int) failure {
		return failure{at: at(i), session: session, identifier: uint32(i), status: binproto.InvalidToken}
	}
	if got := r.latest(); len(got) != 0 {
		t.Errorf("got %v before there was any", got)
	}
	for i := range 3*FailuresKept + 7 {
		r.add(of(1, i))
		all := r.latest()
		if want := min(i+1, FailuresKept); len(all) != want || all[0].identifier != uint32(i) || all[want-1].identifier != uint32(i-want+1) {
			t.Fatalf("after %d: %d are kept, from %d to %d", i+1, len(all), all[len(all)-1].identifier, all[0].identifier)
		}
		if i%3 == 0 {
			packet := of(1, i)
			packet.at = at(1000)
			r.tell(packet)
			if all = r.latest(); all[0].told != at(1000) || all[0].at != at(i) || len(all) > 1 && all[1].identifier != uint32(i-1) {
				t.Fatalf("the packet about %d: got %+v", i, all[0])
			}
		}
	}
	for name, packet := range map[string]failure{"another session": of(2, 3*FailuresKept), "gone by now": of(1, 2), "told already": of(1, 3*FailuresKept+6)} {
		r.tell(packet)
		if got := r.latest()[0]; got.session != packet.session || got.identifier != packet.identifier || got.told != packet.at {
			t.Errorf("a packet about one of %s: got %+v", name, got)
		}
	}
	if allocs := testing.AllocsPerRun(100, func() { r.add(of(1, 1)) }); allocs != 0 {
		t.Errorf("%v allocations a failure", allocs)
	}
}
