//go:build unix

package endtoend

import (
	"syscall"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
)

// The machine of both nodes stands still for longer than a link may be silent. When it goes on,
// neither node takes its own sleep for the other's silence: a provider whose session is carried
// keeps its connection.
func TestFleetMachineSleeps(t *testing.T) {
	t.Parallel()
	n := newNodes(t, apnssim.Scenario{}, "")
	const unclaimed = "fleet_lease: 1m, fleet_claim: 1m" // the app is to stay where it is
	owner, first := n.process(unclaimed)
	first.dial(owner).Close()
	entry, second := n.process(unclaimed)
	n.acquaint(owner, entry)
	conn := second.dial(entry)
	send := func(number int) {
		t.Helper()
		if _, err := conn.Write(servertest.Enhanced(servertest.Token("31", number), number)); err != nil {
			t.Fatal(err)
		}
		owner.Await("it arrives", func(s apnssim.Stats) bool { return s.Accepted == number })
	}
	send(1)
	both := func(s syscall.Signal) {
		for _, p := range []*process{first, second} {
			if err := p.cmd.Process.Signal(s); err != nil {
				t.Fatal(err)
			}
		}
	}
	both(syscall.SIGSTOP)
	<-time.After(8 * time.Second) // a link may be silent for five
	both(syscall.SIGCONT)
	<-time.After(2 * time.Second) // in which a node looks twice whether the other is silent
	send(2)
}
