package bridge

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/bridge/h2conn"
)

func TestVerdictOn(t *testing.T) {
	lost := errors.New("lost")
	said := func(status int, body string) *h2conn.Response {
		return &h2conn.Response{Status: status, Body: []byte(body)}
	}
	tests := []struct {
		name    string
		request h2conn.Request
		want    verdict
	}{
		{"accepted", h2conn.Request{Response: said(200, "")}, verdict{class: accepted, code: 200}},
		{"refused", h2conn.Request{Response: said(400, `{"reason":"BadDeviceToken"}`)}, verdict{class: badToken, status: 8, code: 400, reason: "BadDeviceToken"}},
		{"not looked at", h2conn.Request{Fate: h2conn.Unprocessed, Err: lost}, verdict{class: unsent, reason: "lost"}},
		{"lost", h2conn.Request{Fate: h2conn.Unanswered, Err: lost}, verdict{class: ambiguous, reason: "lost"}},
		{"too late", h2conn.Request{Fate: h2conn.TimedOut, Err: lost}, verdict{class: ambiguous, reason: "lost"}},
		{"in breach of HTTP/2", h2conn.Request{Fate: h2conn.Malformed, Err: lost}, verdict{class: ambiguous, reason: "lost"}},
		{"accepted, then lost", h2conn.Request{Fate: h2conn.Unanswered, Err: lost, Response: said(200, "")}, verdict{class: accepted, code: 200}},
		{"refused, then lost", h2conn.Request{Fate: h2conn.TimedOut, Err: lost, Response: said(400, `{"reason":`)},
			verdict{class: unavailable, code: 400, reason: "an answer without a reason"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := verdictOn(&tt.request); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestPrefixesForgetTheOldest(t *testing.T) {
	p := prefixes{authority: "api.push.apple.com"}
	find := func(bearer string, topic int) *h2conn.Prefix {
		t.Helper()
		prefix, err := p.find(bearer, &request{topic: fmt.Sprint("com.example.", topic), pushType: "alert", priority: 10})
		if err != nil {
			t.Fatal(err)
		}
		return prefix
	}
	first, second := find("bearer a", 1), find("bearer a", 2)
	for i := range 2 * prefixBound {
		find("bearer a", 100+i)
		if find("bearer a", 1) != first {
			t.Fatalf("what is in use was forgotten after %d others", i)
		}
	}
	if find("bearer a", 2) == second || len(p.list) != prefixBound {
		t.Errorf("%d prefixes are kept, and the oldest; want %d", len(p.list), prefixBound)
	}
	if find("bearer b", 1) == first || len(p.list) != 1 {
		t.Errorf("%d prefixes are kept after the JWT was renewed, want 1", len(p.list))
	}
	if find("", 1); len(p.list) != 1 {
		t.Errorf("%d prefixes", len(p.list))
	}
}

// The way of a record through the pool, without its connection, allocates
// nothing.
func TestPoolAllocs(t *testing.T) {
	b := startBridge(t, Config{Apps: []App{{Name: "mail", Topic: topic, Credential: tokenCredential(t)}}})
	s, _ := open(t, b, Origin{})
	const count = 100
	verdicts := 0
	p := &pool{tokens: tokenCredential(t).bearer(b.now), prefixes: prefixes{authority: "localhost"}}
	p.answered = func(r *record, v verdict) {
		if v.class == accepted {
			verdicts++
		}
	}
	var all [count]*record
	for i := range all {
		n := note(deviceToken(goodDevice, i), 0, hello)
		n.Expiry, n.HasExpiry = uint32(time.Now().Unix()+3600), true
		all[i] = newRecord(s, n)
		s.address(all[i], n, b.now())
	}
	c := &poolConn{pool: p}
	response := &h2conn.Response{Status: 200}
	once := func() {
		for _, r := range all {
			p.Send(r)
		}
		p.take(count, 1<<20)
		p.prepare()
		for _, q := range p.requests {
			q.Response = response
		}
		c.complete(nil, p.requests)
	}
	const runs = 10
	if n := testing.AllocsPerRun(runs, once); n != 0 {
		t.Errorf("%v allocations for %d records, want 0", n, count)
	}
	if verdicts != (runs+1)*count {
		t.Errorf("%d accepted, want %d", verdicts, (runs+1)*count)
	}
}

// A record whose request has ended is somebody else's at once, even if half of
// its body was still to be sent. The race detector sees who still reads it.
func TestPayloadIsNotReadAfterItsVerdict(t *testing.T) {
	sim := startSim(t, apnssim.Scenario{Windows: apnssim.Windows{Stream: 1000, Return: 150}})
	conf := mailApp(t, sim)
	b := startBridge(t, Config{Apps: []App{conf}, Limits: Limits{Connections: 2, RequestTimeout: 100 * time.Millisecond}})
	s, _ := open(t, b, Origin{})
	const count = 50
	var verdicts sync.WaitGroup
	verdicts.Add(count)
	var mu sync.Mutex
	late := 0
	p := newPool(b, conf, Production, conf.Credential.bearer(b.now), func(r *record, v verdict) {
		mu.Lock()
		if v.class == ambiguous {
			late++
		}
		mu.Unlock()
		clear(r.bytes)
		r.free()
		verdicts.Done()
	})
	payload := `{"aps":{"alert":"` + strings.Repeat("x", 3000) + `"}}`
	for i := range count {
		n := note(deviceToken(goodDevice, i), 0, payload)
		r := newRecord(s, n)
		s.address(r, n, b.now())
		p.Send(r)
	}
	verdicts.Wait()
	p.Close()
	if late == 0 {
		t.Error("no request ended before its body was out")
	}
	for _, push := range sim.Received(0).Pushes {
		if string(push.Payload) != payload {
			t.Fatal("a payload was changed on its way")
		}
	}
}
