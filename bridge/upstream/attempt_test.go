package upstream

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/bridge/apnssim"
	"golang.org/x/net/http2"

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
		want    Verdict
	}{
		{"accepted", h2conn.Request{Response: said(200, "")}, Verdict{Class: Accepted, Code: 200}},
		{"refused", h2conn.Request{Response: said(400, `{"reason":"BadDeviceToken"}`)}, Verdict{Class: BadToken, Status: 8, Code: 400, Reason: "BadDeviceToken"}},
		{"not looked at", h2conn.Request{Fate: h2conn.Unprocessed, Err: lost}, Verdict{Class: Unprocessed, Reason: "lost"}},
		{"lost", h2conn.Request{Fate: h2conn.Unanswered, Err: lost}, Verdict{Class: NoAnswer, Reason: "lost"}},
		{"too late", h2conn.Request{Fate: h2conn.TimedOut, Err: lost}, Verdict{Class: NoAnswer, Reason: "lost"}},
		{"in breach of HTTP/2", h2conn.Request{Fate: h2conn.Malformed, Err: lost}, Verdict{Class: NoAnswer, Reason: "lost"}},
		{"accepted, then lost", h2conn.Request{Fate: h2conn.Unanswered, Err: lost, Response: said(200, "")}, Verdict{Class: Accepted, Code: 200}},
		{"refused, then lost", h2conn.Request{Fate: h2conn.TimedOut, Err: lost, Response: said(400, `{"reason":`)},
			Verdict{Class: ServerError, Code: 400, Reason: "an answer without a reason", leave: true}},
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
		prefix, err := p.find(bearer, &Request{Topic: fmt.Sprint("com.example.", topic), PushType: "alert", Priority: 10})
		if err != nil {
			t.Fatal(err)
		}
		return prefix
	}
	first, second := find("bearer a", 1), find("bearer a", 2)
	for i := range 2 * prefixBound {
		find("bearer a", 100+i)
		if find("bearer a", 1) != first {
			t.Fatalf("a prefix in use was forgotten after %d others", i)
		}
	}
	if find("bearer a", 2) == second || len(p.list) != prefixBound {
		t.Errorf("%d prefixes are kept, want %d without the oldest", len(p.list), prefixBound)
	}
	if find("bearer b", 1) == first || len(p.list) != 1 {
		t.Errorf("%d prefixes are kept after the JWT was renewed, want 1", len(p.list))
	}
	if find("", 1); len(p.list) != 1 {
		t.Errorf("%d prefixes are kept without a JWT, want 1", len(p.list))
	}
}

// A push through an Upstream, apart from its connection, allocates nothing. The clock is read once
// for all that are sent together, and once for all that are answered together.
func TestAllocs(t *testing.T) {
	const count = 100
	verdicts, readings := 0, 0
	u := &Upstream{bearer: bearers.of(tokenCredential(t), time.Now()), prefixes: prefixes{authority: "localhost"},
		begin: begin, fetch: func(*Push) {}}
	u.now = func() time.Time { readings++; return time.Now() }
	u.answered = func(_ *Push, v Verdict, _ time.Time) {
		if v.Class == Accepted {
			verdicts++
		}
	}
	var all [count]*Push
	for i := range all {
		all[i] = note(deviceToken(goodDevice, i), hello)
		all[i].Request.Expiration = time.Now().Unix() + 3600
	}
	c := &connection{upstream: u}
	response := &h2conn.Response{Status: 200}
	once := func() {
		for _, p := range all {
			u.Send(p)
		}
		u.take(c, count, 1<<20)
		u.prepare()
		for _, q := range u.requests {
			q.Response = response
		}
		c.complete(nil, u.requests)
	}
	const runs = 10
	if n := testing.AllocsPerRun(runs, once); n != 0 {
		t.Errorf("%v allocations for %d pushes, want 0", n, count)
	}
	if verdicts != (runs+1)*count || readings != (runs+1)*2 {
		t.Errorf("%d accepted, want %d; the clock was read %d times for %d batches",
			verdicts, (runs+1)*count, readings, runs+1)
	}
}

// A push belongs to its owner as soon as its request has ended, even if half of its body was
// still to be sent. The race detector finds a later read of it.
func TestPayloadIsNotReadAfterItsVerdict(t *testing.T) {
	sim := startSim(t, apnssim.Scenario{Windows: apnssim.Windows{Stream: 1000, Return: 150}})
	const count = 50
	var verdicts sync.WaitGroup
	verdicts.Add(count)
	var late atomic.Int64
	credential := tokenCredential(t)
	u := Open(t.Context(), Config{
		Endpoint: endpoint(sim), Credential: credential,
		Limits: Limits{Connections: 2, RequestTimeout: 100 * time.Millisecond, DialInterval: 50 * time.Millisecond},
		Log:    zerolog.Nop(), Begin: begin,
		Answered: func(p *Push, v Verdict, _ time.Time) {
			if v.Class == Unprocessed {
				late.Add(1)
			}
			clear(p.Token)
			clear(p.Payload)
			verdicts.Done()
		},
	})
	payload := `{"aps":{"alert":"` + strings.Repeat("x", 3000) + `"}}`
	for i := range count {
		u.Send(note(deviceToken(goodDevice, i), payload))
	}
	verdicts.Wait()
	u.Close()
	if late.Load() == 0 {
		t.Error("no request ended before its body was sent")
	}
	for _, push := range sim.Received(0).Pushes {
		if string(push.Payload) != payload {
			t.Fatal("a payload was changed on its way")
		}
	}
}

// APNs takes the heads of requests and no bodies. It cannot have acted on them, so that they
// do not count as unanswered; and the next ones have another connection.
func TestBodiesAreNotTaken(t *testing.T) {
	shut := []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 0}}
	s := startServer(t, shut, func(*serverConn, uint32) bool { return true })
	g := openRig(t, Config{Endpoint: s.endpoint(), Credential: tokenCredential(t),
		Limits: Limits{RequestTimeout: 100 * time.Millisecond}})
	g.once = true
	for i := range 2 {
		g.push([]byte{byte(i)}, 10, `{"aps":{"alert":"hi"}}`)
	}
	if got := g.counted(); got[Unprocessed] != 20 {
		t.Errorf("got %v, want 20 unprocessed", got)
	}
	if got := s.conns.Load(); got < 2 {
		t.Errorf("%d connections, want another one", got)
	}
}
