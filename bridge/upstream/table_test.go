package upstream

import (
	"fmt"
	"slices"
	"testing"

	"apnsbridge/bridge/apnssim"
)

// Each row of the table matters: without it, one of the checks fails that compare the table with
// Apple's page. The test must not run in parallel with others, for it changes the table.
func TestEachRowIsChecked(t *testing.T) {
	wire := overTheWire(t)
	if faults := tableFaults(wire); len(faults) > 0 {
		t.Fatalf("the table is not as the page has it: %q", faults)
	}
	whole := answers
	defer useTable(whole)
	for i, row := range whole {
		useTable(slices.Delete(slices.Clone(whole), i, i+1))
		if faults := tableFaults(wire); len(faults) == 0 {
			t.Errorf("no check notices that %d %q is missing", row.code, row.reason)
		}
	}
	for i := range whole { // and so does its class
		other := slices.Clone(whole)
		if other[i].class = Accepted; whole[i].class == Accepted {
			other[i].class = Gone
		}
		useTable(other)
		if faults := tableFaults(wire); len(faults) == 0 {
			t.Errorf("no check notices that %d %q has another class", whole[i].code, whole[i].reason)
		}
	}
}

func useTable(rows []answer) {
	answers = rows
	answersBy = indexAnswers(rows)
}

// wireAnswer is what came over the wire.
type wireAnswer struct {
	code   int
	reason string
	class  Class // by the whole table
}

// overTheWire has the simulator give each reason on Apple's page, each to a device of its own.
func overTheWire(t *testing.T) (all []wireAnswer) {
	t.Helper()
	var rules []apnssim.Rule
	var pushes []*Push
	for reason := range apnssim.Reasons() {
		if reason == "" {
			continue
		}
		device := []byte{0xcc, byte(len(rules))}
		rules = append(rules, apnssim.Rule{Prefix: fmt.Sprintf("%x", device), Reason: reason})
		pushes = append(pushes, note(deviceToken(device, 1), hello))
	}
	sim := startSim(t, apnssim.Scenario{Reasons: rules})
	credential, err := NewTokenCredential(pki().TokenKey, "TABLE67890", "DEF123GHIJ")
	if err != nil {
		t.Fatal(err)
	}
	g := openRig(t, Config{Endpoint: endpoint(sim), Credential: credential})
	g.once = true
	g.takeOlderJWT()
	for _, p := range pushes {
		g.send(p)
		all = append(all, wireAnswer{g.last.Code, g.last.Reason, g.last.Class})
	}
	return all
}

// tableFaults compares the table with Apple's page: with what the simulator answered, which has
// all of it, and with how that should be judged.
func tableFaults(wire []wireAnswer) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	for _, w := range wire {
		if answersBy.byReason[answerKey{w.code, w.reason}] == nil {
			fault("%d %s is not in it", w.code, w.reason)
		}
		if v := judge(w.code, []byte(said(w.reason))); v.Class != w.class {
			fault("%d %s is judged %v", w.code, w.reason, v.Class)
		}
	}
	for _, j := range judgements {
		v := judge(j.code, []byte(j.body))
		if v.Class != j.class || v.Status != j.status || v.leave != j.leave {
			fault("%d %.40s is judged %+v", j.code, j.body, v)
		}
	}
	if a := find(200, ""); a.class != Accepted {
		fault("200 is %v", a.class)
	}
	return faults
}
