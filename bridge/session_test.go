package bridge

import (
	"bytes"
	"fmt"
	"testing"

	"apnsbridge/bridge/apnssim"
)

// oddPayloads are bytes that something on the way might be tempted to touch.
var oddPayloads = []string{
	`{"aps":{"alert":"plain %d"}}`,
	`{"aps":{"alert":"<b>&amp; %d</b>"}}`,
	"{\"aps\":{\"alert\":\"line\u2028sep\u2029 %d\"}}",
	"{\"aps\":{\"alert\":\"bad utf8 \xff\xfe\xc0 %d\"}}",
	"{\"aps\":{\"alert\":\"nul \x00 inside %d\"}}",
	`{ "aps" : { "alert" : "spaces" , "badge" : 1e2 } , "n" : %d }   `,
	"not json at all %d \r\n\r\n",
}

func TestPayloadsArriveOnceAndUnchanged(t *testing.T) {
	t.Parallel()
	sim := startSim(t, apnssim.Scenario{})
	b := startBridge(t, Config{Apps: []App{mailApp(t, sim)}})
	s, p := open(t, b, Origin{})
	const count = 10_000
	want := make(map[string]string, count)
	for i := range count {
		token := deviceToken(goodDevice, i)
		payload := fmt.Sprintf(oddPayloads[i%len(oddPayloads)], i)
		want[fmt.Sprintf("%x", token)] = payload
		n := note(token, uint32(i), payload)
		p.push(t, s, n)
		// The gateway's buffer is used again at once.
		clear(n.Token)
		clear(n.Payload)
	}
	s.Shutdown(false)
	if fails, closes := p.wait(t); len(fails) != 0 || closes != 1 {
		t.Fatalf("told %v and closed %d times, want one close", fails, closes)
	}
	got := sim.Received(0)
	if len(got.Pushes) != count || got.Duplicates != 0 {
		t.Fatalf("%d pushes, %d duplicates; want %d, 0", len(got.Pushes), got.Duplicates, count)
	}
	for _, push := range got.Pushes {
		if payload, ok := want[push.Token]; !ok || !bytes.Equal(push.Payload, []byte(payload)) {
			t.Fatalf("token %s got payload %q, want %q", push.Token, push.Payload, payload)
		}
		delete(want, push.Token)
	}
	if len(want) != 0 {
		t.Fatalf("%d notifications never arrived", len(want))
	}
}
