//go:build unix

package endtoend

import (
	"fmt"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/fleet"
	"apnsbridge/store/pgstore"
	"apnsbridge/store/storetest"
)

// The primary is killed, and its standby is promoted some time later. The nodes go on
// delivering, and everything recorded before and meanwhile is on the list.
func TestFleetFailover(t *testing.T) {
	t.Parallel()
	servertest.Foreign(t, "psql")
	primary := ownPostgres(t)
	n := newNodesOn(t, primary, apnssim.Scenario{}, "")
	standby := n.standby(t, primary)
	first, second := n.pair(shortLease)
	want := make(map[string]bool)
	sent := 0
	send := func() {
		t.Helper()
		before := n.sim.Stats().Accepted
		for i, w := range []*world{first, second} {
			dead := servertest.Token("dead", 10*sent+i)
			want[string(servertest.Unhex(dead))] = true
			w.pushEach(t, dead, servertest.Token("ab", 10*sent+i))
		}
		sent++
		first.Await("the good ones arrive", func(s apnssim.Stats) bool { return s.Accepted >= before+2 })
	}
	send()
	servertest.WaitFor(t, "the dead ones are recorded", func() bool {
		return first.Sum(t, "apnsbridge_notifications_unsettled")+second.Sum(t, "apnsbridge_notifications_unsettled") == 0
	})
	primary.Kill()
	wait := 7 * time.Second // longer than a lease
	if *long {
		wait = 20 * time.Second
	}
	for promotion := time.Now().Add(wait); time.Now().Before(promotion); {
		send()
		time.Sleep(200 * time.Millisecond) // the provider's own pause
	}
	if err := standby.Promote(); err != nil {
		t.Fatal(err)
	}
	servertest.WaitFor(t, "one has the app", func() bool {
		return first.place() == fleet.Here || second.place() == fleet.Here
	})
	send()
	waitListed(t, fmt.Sprintf("each of %d dead ones", len(want)), func(listed map[string]bool) bool {
		for device := range want {
			if !listed[device] {
				return false
			}
		}
		return true
	}, first, second)
}

// standby starts a second server that has everything primary has acknowledged, and tells the
// nodes of it.
func (n *nodes) standby(t *testing.T, primary *storetest.Postgres) *storetest.Postgres {
	t.Helper()
	standby, err := primary.Standby()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(standby.Stop)
	if err := primary.Synchronize(); err != nil {
		t.Fatal(err)
	}
	n.engine.URL = storetest.URLOf(primary, standby)
	if s, err := pgstore.Open(t.Context(), n.engine); err != nil {
		t.Fatal(err)
	} else if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return standby
}
