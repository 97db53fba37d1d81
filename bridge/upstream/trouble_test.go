package upstream

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"apnsbridge/bridge/apnssim"
)

// The reason that APNs gives in a GOAWAY, before the first answer or later, is the verdict on the
// pushes that it does not process, and is reported.
func TestGoAwayIsJudged(t *testing.T) {
	for _, after := range []int{0, 5} {
		for _, tt := range []struct {
			reason string
			class  Class
			told   bool
		}{
			{"BadCertificateEnvironment", CredentialRefused, true},
			{"BadEnvironmentKeyInToken", CredentialRefused, true},
			{"TopicDisallowed", TopicRefused, true},
			{"TooManyProviderTokenUpdates", TokenUpdates, true},
			{"ServiceUnavailable", ServerError, true},
			{"Shutdown", Unprocessed, false},
			{"IdleTimeout", Unprocessed, false},
			{"BadDeviceToken", Unprocessed, false},
			{"SomethingNew", Unprocessed, false},
		} {
			t.Run(fmt.Sprintf("%s after %d", tt.reason, after), func(t *testing.T) {
				s := startServer(t, nil, func(c *serverConn, stream uint32) bool {
					if c.seen <= after {
						c.answer(stream, "200")
						return true
					}
					c.WriteGoAway(stream-1, http2.ErrCodeNo, []byte(`{"reason":"`+tt.reason+`"}`))
					return true
				})
				g := openRig(t, Config{Endpoint: s.endpoint(), Credential: tokenCredential(t)})
				g.takeOlderJWT()
				g.once = true
				for i := range after + 1 {
					g.send(note(deviceToken(goodDevice, i), hello))
				}
				if got := g.counted(); got[tt.class] != 1 || got[Accepted] != after {
					t.Errorf("verdicts %v, want %d accepted and %v", got, after, tt.class)
				}
				if tt.told {
					until(t, "the trouble is reported", func() bool { return strings.Contains(fmt.Sprint(g.peek()), tt.reason) })
				}
				if got := g.told(); (len(got) > 0) != tt.told || tt.told && got[0].Class != tt.class {
					t.Errorf("reported %v", got)
				}
			})
		}
	}
}

// A reason that comes before the connection is in use is reported as well.
func TestGoAwayInsteadOfSettings(t *testing.T) {
	sim := startSim(t, apnssim.Scenario{GoAway: &apnssim.GoAway{Cause: apnssim.BadCertificateEnvironment}})
	g := newRig(t, sim, Limits{})
	g.once = true
	for i := range 3 {
		g.send(note(deviceToken(goodDevice, i), hello))
		if g.last.Class != CredentialRefused || g.last.Reason != "BadCertificateEnvironment" {
			t.Errorf("got %+v", g.last)
		}
	}
	until(t, "the trouble is reported", func() bool { return len(g.peek()) > 0 })
}

// Connections that end without an answer, for whatever reason, are as good as none: the fifth in a
// row is reported as such, and they are opened further and further apart.
func TestConnectionsInVain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		complete func(c *serverConn, stream uint32) bool
		class    Class // of the first four
		reason   string
		remedy   string
	}{
		{"GOAWAY", func(c *serverConn, stream uint32) bool { c.goAway("SomethingNew"); return true }, Unprocessed, "SomethingNew", remedyVain},
		{"another key's connection", func(c *serverConn, stream uint32) bool {
			c.refuse(stream, "403", "UnrelatedKeyIdInToken")
			return true
		}, Unprocessed, "UnrelatedKeyIdInToken", "correct key, key_id and team_id"},
		{"shutdown", func(c *serverConn, stream uint32) bool { c.refuse(stream, "503", "Shutdown"); return true }, Unprocessed, "Shutdown", remedyVain},
		{"REFUSED_STREAM", func(c *serverConn, stream uint32) bool {
			c.WriteRSTStream(stream, http2.ErrCodeRefusedStream)
			return true
		}, Unprocessed, "REFUSED_STREAM", remedyVain},
		{"cut", func(*serverConn, uint32) bool { return false }, NoAnswer, "closed the connection", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t, nil, tt.complete)
			g := openRig(t, Config{Endpoint: s.endpoint(), Credential: tokenCredential(t)})
			g.once = true
			begin := time.Now()
			for i := range maxVain {
				g.send(note(deviceToken(goodDevice, i), hello))
			}
			want := map[Class]int{tt.class: maxVain - 1, NoConnection: 1}
			if tt.class == NoAnswer { // they may have been delivered, whatever the connection is worth
				want = map[Class]int{NoAnswer: maxVain}
			}
			if got := g.counted(); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("verdicts %v, want %v", got, want)
			}
			if !strings.Contains(g.last.Reason, tt.reason) || !strings.Contains(g.last.Remedy, tt.remedy) ||
				strings.Contains(g.last.Remedy, "{") {
				t.Errorf("the last verdict is %+v, want %q in it", g.last, tt.reason)
			}
			// 50, 50, 100, 200 and 400 ms apart.
			if took := time.Since(begin); took < 350*time.Millisecond || s.conns.Load() != maxVain {
				t.Errorf("%d connections in %v", s.conns.Load(), took)
			}
		})
	}
}

// What waits for a useful connection does not wait for ever, and an answer resets the count.
func TestConnectionsInVainFailWhatWaits(t *testing.T) {
	t.Parallel()
	good := make(chan struct{})
	s := startServer(t, []http2.Setting{{ID: http2.SettingMaxConcurrentStreams, Val: 1}}, func(c *serverConn, stream uint32) bool {
		select {
		case <-good:
			c.answer(stream, "200")
		default:
			c.goAway("SomethingNew")
		}
		return true
	})
	g := openRig(t, Config{Endpoint: s.endpoint(), Credential: tokenCredential(t)})
	g.once = true
	g.push(goodDevice, 20, hello)
	if got := g.counted(); got[Unprocessed] != maxVain-1 || got[NoConnection] != 20-maxVain+1 {
		t.Errorf("verdicts %v", got)
	}
	if reasons := fmt.Sprint(g.reasons); !strings.Contains(reasons,
		"5 connections in a row ended without an answer, the last with: ") {
		t.Errorf("reasons %s", reasons)
	}
	close(good)
	g.push(goodDevice, 20, hello)
	if got := g.counted(); got[Accepted] != 20 {
		t.Errorf("verdicts %v, want 20 accepted", got)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.Upstream.vain != 0 {
		t.Errorf("%d connections in vain are counted after an answer, want none", g.Upstream.vain)
	}
}

// A connection that ends after its GOAWAY is not counted twice: what has come since waits for the next one.
func TestConnectionInVainEndsOnce(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil, func(c *serverConn, stream uint32) bool { c.answer(stream, "200"); return true })
	g := openRig(t, Config{Endpoint: s.endpoint(), Credential: tokenCredential(t)})
	g.once = true
	g.Upstream.mu.Lock()
	g.Upstream.vain = maxVain
	g.Upstream.mu.Unlock()
	g.left, g.done = 1, make(chan struct{})
	g.Send(note(goodDevice, hello))
	g.leave(&connection{upstream: g.Upstream, state: draining, counted: true}, Verdict{Class: NoAnswer})
	select {
	case <-g.done:
	case <-within(t).Done():
	}
	if got := g.counted(); got[Accepted] != 1 {
		t.Errorf("verdicts %v, want one accepted", got)
	}
}

// Connections in vain prove nothing about APNs while another brings answers.
func TestConnectionsInVainBesideAGoodOne(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil, func(c *serverConn, stream uint32) bool {
		if c.number == 1 {
			c.answer(stream, "200")
		} else {
			c.WriteRSTStream(stream, http2.ErrCodeRefusedStream)
		}
		return true
	})
	g := openRig(t, Config{Endpoint: s.endpoint(), Credential: tokenCredential(t)})
	g.once = true
	g.push(goodDevice, 1, hello)
	for i := range maxVain + 1 {
		g.send(fresh(i))
	}
	g.push(goodDevice, 1, hello)
	if got := g.counted(); got[Unprocessed] != maxVain+1 || got[Accepted] != 2 {
		t.Errorf("verdicts %v, want %d unprocessed and 2 accepted", got, maxVain+1)
	}
}

// After an answer about the connection itself, that connection is left.
func TestAnswersThatLeaveTheConnection(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		reason apnssim.Reason
		class  Class
		left   bool
	}{
		{apnssim.Shutdown, Unprocessed, true},
		{apnssim.UnrelatedKeyIDInToken, Unprocessed, true},
		{apnssim.BadPath, ServerError, true},
		{apnssim.MethodNotAllowed, ServerError, true},
		{apnssim.IdleTimeout, ServerError, true},
		{apnssim.InternalServerError, ServerError, false},
		{apnssim.InvalidProviderToken, CredentialRefused, false},
		{apnssim.BadDeviceToken, BadToken, false},
	} {
		t.Run(string(tt.reason), func(t *testing.T) {
			sim := startSim(t, apnssim.Scenario{Reasons: []apnssim.Rule{{Prefix: "cc", Reason: tt.reason}}})
			g := newRig(t, sim, Limits{})
			g.once = true
			g.push(goodDevice, 1, hello)
			first, slot := bearerAt(g), time.Now().Truncate(bearerSlot)
			g.push([]byte{0xcc}, 1, hello)
			g.push(goodDevice, 1, hello)
			if got := g.counted(); got[tt.class] != 1 && tt.class != Accepted || got[Accepted] != 2 {
				t.Errorf("verdicts %v, want %v between two that are accepted", got, tt.class)
			}
			want := 1
			if tt.left {
				want = 2
			}
			until(t, "there is another connection", func() bool { return sim.Stats().Connections >= want })
			if got := sim.Stats().Connections; got != want {
				t.Errorf("%d connections, want %d", got, want)
			}
			if bearerAt(g) != first && time.Now().Truncate(bearerSlot).Equal(slot) { // else it is time for another
				t.Error("the JWT has changed")
			}
		})
	}
}

func bearerAt(g *rig) string {
	value, err := g.bearer.current(time.Now())
	if err != nil {
		g.t.Fatal(err)
	}
	return value
}

// If a server never gives its window back, that is reported, and its connections are left. All
// pushes get through all the same.
func TestWindowIsNeverGivenBack(t *testing.T) {
	t.Parallel()
	s := startServer(t, nil, func(c *serverConn, stream uint32) bool {
		c.answer(stream, "200")
		return true
	})
	g := openRig(t, Config{Endpoint: s.endpoint(), Credential: tokenCredential(t),
		Limits: Limits{Connections: 2, PingTimeout: 100 * time.Millisecond}})
	const count = 200
	g.push(goodDevice, count, `{"aps":{"alert":"`+strings.Repeat("x", 2000)+`"}}`)
	if got := g.counted(); got[Accepted] != count || got[NoAnswer]+got[NoConnection] != 0 {
		t.Errorf("verdicts %v, want %d accepted and nothing in doubt", got, count)
	}
	if got := g.told(); len(got) == 0 || got[0].Class != ServerError || !strings.Contains(got[0].Reason, "no room") {
		t.Errorf("reported %v", got)
	}
}

// APNs ends connections with too many errors. The good pushes arrive all the same, and
// connections are opened no faster than is allowed.
func TestDisconnectsAfterErrors(t *testing.T) {
	t.Parallel()
	const count, interval = 500, 50 * time.Millisecond
	sim := startSim(t, apnssim.Scenario{
		ErrorLimit: &apnssim.ErrorLimit{Errors: 20, BadTokens: 20},
		Reasons:    []apnssim.Rule{{Probability: 0.3, Reason: apnssim.BadDeviceToken}},
		Latency:    apnssim.Latency{Fixed: 2},
	})
	g := newRig(t, sim, Limits{Streams: 20})
	begin := time.Now()
	g.push(goodDevice, count, hello)
	got, st := g.counted(), g.Stats()
	if got[Accepted]+got[BadToken] != count || got[BadToken] < count/5 || got[NoAnswer]+got[NoConnection] != 0 || sim.Stats().Duplicates != 0 {
		t.Errorf("verdicts %v, %d delivered twice", got, sim.Stats().Duplicates)
	}
	if most := uint64(time.Since(begin)/interval) + 1; st.Dials < 3 || st.Dials > most {
		t.Errorf("%d connections, want 3 at least and %d at most", st.Dials, most)
	}
	if told := g.told(); len(told) > 0 {
		t.Errorf("reported %v", told)
	}
}

// The cause of a refusal is put right at APNs, which an open connection never learns: the first
// push on a new one is accepted, and then all others.
func TestRecoveryNeedsANewConnection(t *testing.T) {
	key := apnssim.Key{KeyID: "ABC123DEFG", TeamID: "DEF123GHIJ", PEM: string(pki().TokenKey)}
	other := key
	other.KeyID = "OTHER67890"
	scoped := key
	scoped.Topics = []string{"com.example.other"}
	for _, tt := range []struct {
		name   string
		before apnssim.Scenario
		class  Class
	}{
		{"a topic is added to the team", apnssim.Scenario{Topics: []string{"com.example.other"}}, TopicRefused},
		{"a topic is added to the key", apnssim.Scenario{Keys: []apnssim.Key{scoped}}, TopicRefused},
		{"the key is made known", apnssim.Scenario{Keys: []apnssim.Key{other}}, CredentialRefused},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.before.Bind = true
			sim := startSim(t, tt.before)
			g := newRig(t, sim, Limits{})
			g.push(goodDevice, 5, hello)
			if err := sim.SetScenario(apnssim.Scenario{Keys: []apnssim.Key{key}, Topics: []string{topic}, Bind: true}); err != nil {
				t.Fatal(err)
			}
			g.push(goodDevice, 5, hello)
			g.send(fresh(1))
			g.push(goodDevice, 5, hello)
			if got := g.counted(); got[tt.class] != 10 || got[Accepted] != 6 {
				t.Errorf("verdicts %v, want 10 refused over the old connection, and then 6 accepted", got)
			}
			if got := g.Stats().Dials; got != 2 {
				t.Errorf("%d connections, want 2", got)
			}
		})
	}
}

// Every answer of the table, over the wire, has its verdict; none is taken for
// another, and none is lost.
func TestEveryAnswerOverTheWire(t *testing.T) {
	for reason, status := range apnssim.Reasons() {
		if reason == "" {
			continue
		}
		t.Run(string(reason), func(t *testing.T) {
			t.Parallel()
			sim := startSim(t, apnssim.Scenario{Reasons: []apnssim.Rule{{Reason: reason}}})
			g := newRig(t, sim, Limits{})
			g.takeOlderJWT()
			g.once = true
			g.send(note(deviceToken(goodDevice, 1), hello))
			i := slices.IndexFunc(judgements, func(j judgement) bool {
				return j.code == status && j.body == said(string(reason))
			})
			if i < 0 {
				t.Fatal("there is no judgement for it")
			}
			want := judgements[i]
			if g.last.Class != want.class || g.last.Code != status || g.last.Reason != string(reason) || g.last.Status != want.status {
				t.Errorf("got %+v, want %v", g.last, want.class)
			}
		})
	}
}
