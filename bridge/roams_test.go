package bridge

import (
	"net/netip"
	"testing"

	"apnsbridge/bridge/apnssim"
)

// A client that is admitted by CIDR, numbers each connection anew and sends again from another
// address is recognised all the same.
func TestResendsFromAnotherAddress(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		roams      bool
		duplicates int
	}{
		{"of a rule", true, 0},
		{"of another machine with the same certificate", false, 9},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sim := startSim(t, apnssim.Scenario{})
			b := startBridge(t, Config{Apps: []App{mailApp(t, sim)}})
			first, p := open(t, b, Origin{Client: "10.0.0.0/8", Roams: tt.roams, Address: netip.MustParseAddr("10.0.0.1")})
			second, q := open(t, b, Origin{Client: "10.0.0.0/8", Roams: tt.roams, Address: netip.MustParseAddr("10.0.0.2")})
			p.push(t, first, note(deviceToken(badDevice, 0), 1, `{"aps":{}}`))
			for i := 2; i <= 10; i++ {
				p.push(t, first, note(deviceToken(goodDevice, i), uint32(i), `{"aps":{}}`))
			}
			if fails, _ := p.wait(t); len(fails) != 1 || fails[0].Identifier != 1 {
				t.Fatalf("told %v, want a failure of 1", fails)
			}
			first.Shutdown(true)
			first.Close(nil)
			for i := 2; i <= 10; i++ {
				q.push(t, second, note(deviceToken(goodDevice, i), uint32(i-1), `{"aps":{}}`))
			}
			second.Shutdown(false)
			q.wait(t)
			if got := sim.Received(0).Duplicates; got != tt.duplicates {
				t.Errorf("%d came twice, want %d", got, tt.duplicates)
			}
		})
	}
}
