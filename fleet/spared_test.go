package fleet

import (
	"testing"

	"apnsbridge/store"
)

// Nor does a session make the node claim an app whose owner is about to come back.
func TestSessionSparesWhoComesBack(t *testing.T) {
	r := newRig(t)
	r.Sent(0)
	r.Sent(1 * second)
	r.Renewed(1*second, store.FleetView{Nodes: []store.FleetNode{{Name: "gw1"}}, Apps: []store.FleetApp{
		{Name: "mail", Node: "gw2", Epoch: 1}}}, 1*second)
	r.session(2*second, Claiming, "")
	r.wants()
	r.Sent(3 * second)
	r.Renewed(3*second, view("mail gw2 1"), 3*second)
	r.wants("carry mail gw2")
	r.Sent(4 * second)
	r.Renewed(4*second, store.FleetView{Nodes: []store.FleetNode{{Name: "gw1"}}, Apps: []store.FleetApp{
		{Name: "mail", Node: "gw2", Epoch: 1}}}, 4*second)
	r.session(7*second, Claiming, "")
	r.wants("claim mail")
}
