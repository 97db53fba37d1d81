package upstream

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"apnsbridge/bridge/apnssim"
)

// noon is the beginning of a half hour.
var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// issuedAt returns the time of issue of the JWT in an authorization header, whose signature it
// verifies with another implementation.
func issuedAt(t *testing.T, header string) time.Time {
	t.Helper()
	var claims jwt.RegisteredClaims
	compact, ok := strings.CutPrefix(header, "bearer ")
	token, err := jwt.NewParser(jwt.WithoutClaimsValidation(), jwt.WithValidMethods([]string{"ES256"})).
		ParseWithClaims(compact, &claims, func(*jwt.Token) (any, error) { return &tokenCredential(t).key.PublicKey, nil })
	if err != nil || !ok {
		t.Fatalf("%q: %v", header, err)
	}
	if token.Header["kid"] != "ABC123DEFG" || claims.Issuer != "DEF123GHIJ" || len(token.Header) != 2 {
		t.Fatalf("header %v, claims %+v", token.Header, claims)
	}
	return claims.IssuedAt.UTC()
}

// ownCredential returns a credential that no other test has used, nor an earlier run of the same
// one: all of them share the bearers of the process.
func ownCredential(t *testing.T) *Credential {
	t.Helper()
	c, err := NewTokenCredential(pki().TokenKey, fmt.Sprintf("OWN%07d", ownKeys.Add(1)), "DEF123GHIJ")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var ownKeys atomic.Int32

func newBearer(t *testing.T) *bearer {
	c := tokenCredential(t)
	return &bearer{key: c.key, keyID: c.keyID, teamID: c.teamID}
}

// TestBearer plays histories of one key: which JWT is shown when, and what APNs says of it.
func TestBearer(t *testing.T) {
	const m = time.Minute
	type step struct {
		at     time.Duration // since noon
		renew  bool          // APNs calls the one in use expired
		issued time.Duration // when the JWT shown then was issued, since noon
	}
	for _, tt := range []struct {
		name  string
		steps []step
	}{
		{"one each half hour", []step{{0, false, 0}, {29 * m, false, 0}, {30 * m, false, 30 * m}, {59 * m, false, 30 * m}, {5 * 60 * m, false, 300 * m}}},
		{"in the middle of a half hour", []step{{17 * m, false, 0}, {31 * m, false, 30 * m}}},
		{"called expired", []step{{17 * m, false, 0}, {18 * m, true, 18 * m}, {37 * m, false, 18 * m}, {38 * m, false, 30 * m}}},
		{"called expired again too soon", []step{{17 * m, false, 0}, {18 * m, true, 18 * m}, {37 * m, true, 18 * m}, {38 * m, true, 38 * m}, {57 * m, false, 38 * m}, {60 * m, false, 60 * m}}},
		{"the clock goes back", []step{{31 * m, false, 30 * m}, {-5 * m, false, 30 * m}, {-600 * m, false, 30 * m}, {45 * m, false, 30 * m}, {60 * m, false, 60 * m}}},
		{"the clock went ahead and is set right", []step{{600 * m, false, 600 * m}, {2 * m, false, 600 * m}, {3 * m, true, 3 * m}, {30 * m, false, 30 * m}}},
		{"it is set right soon after", []step{{600 * m, false, 600 * m}, {601 * m, true, 601 * m}, {2 * m, false, 601 * m}, {3 * m, true, 3 * m}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBearer(t)
			for i, s := range tt.steps {
				now := noon.Add(s.at)
				if s.renew {
					b.renew(b.value, now)
				}
				value, err := b.current(now)
				if err != nil {
					t.Fatal(err)
				}
				if got := issuedAt(t, value); !got.Equal(noon.Add(s.issued)) {
					t.Errorf("step %d, %v: issued at %v, want %v", i, s.at, got.Sub(noon), s.issued)
				}
			}
		})
	}
}

// If APNs calls the JWT of a new half hour one too many, that of the half hour before is used
// until the next begins. There is no second step back.
func TestBearerStepsBack(t *testing.T) {
	const m = time.Minute
	b := newBearer(t)
	shown := func(at, want time.Duration) string {
		t.Helper()
		value, err := b.current(noon.Add(at))
		if err != nil {
			t.Fatal(err)
		}
		if got := issuedAt(t, value); !got.Equal(noon.Add(want)) {
			t.Errorf("at %v: issued at %v, want %v", at, got.Sub(noon), want)
		}
		return value
	}
	refused := shown(31*m, 30*m)
	for range 2 { // two requests were on their way with it
		if !b.stepBack(refused, noon.Add(31*m)) {
			t.Error("there is no other JWT to step back to")
		}
	}
	if older := shown(31*m, 0); b.stepBack(older, noon.Add(32*m)) {
		t.Error("the bearer steps back a second time")
	}
	shown(59*m, 0)
	shown(60*m, 60*m)
	if !b.renew(b.value, noon.Add(62*m)) || b.stepBack(b.value, noon.Add(63*m)) {
		t.Error("a JWT that APNs made us mint was not minted, or was stepped back from")
	}
}

// The clocks of two nodes are minutes apart when a half hour begins: APNs still sees the key
// with the JWT of the half hour before, and refuses the new one. What was refused is sent with
// the older one, and so is the rest.
func TestClocksApart(t *testing.T) {
	sim := startSim(t, apnssim.Scenario{KeyUpdates: &apnssim.RateLimit{Count: 1, Seconds: 1200}})
	credential := ownCredential(t)
	other := openRig(t, Config{Endpoint: endpoint(sim), Credential: credential})
	other.bearer = &bearer{key: other.bearer.key, keyID: other.bearer.keyID, teamID: other.bearer.teamID}
	if err := other.bearer.mint(time.Now().Truncate(bearerSlot).Add(-bearerSlot)); err != nil {
		t.Fatal(err)
	}
	other.bearer.skipped = time.Now().Truncate(bearerSlot)
	other.push(goodDevice, 1, hello)
	g := openRig(t, Config{Endpoint: endpoint(sim), Credential: credential})
	const count = 20
	var all []*Push
	for i := range count {
		all = append(all, note(deviceToken(goodDevice, i), hello))
	}
	g.send(all...)
	if got := g.counted(); got[StaleToken] != count {
		t.Fatalf("verdicts %v, want all refused because of the JWT", got)
	}
	g.Renew(all[0].Bearer)
	g.send(all...)
	g.push(goodDevice, count, hello)
	other.push(goodDevice, count, hello)
	if got := g.counted(); got[StaleToken] != count || got[Accepted] != 2*count || other.counted()[Accepted] != count+1 {
		t.Errorf("verdicts %v and %v, want all accepted", got, other.counted())
	}
}

// Other processes and machines show the same JWT, to the byte.
func TestBearerIsTheSameEverywhere(t *testing.T) {
	seen := make(map[string]bool)
	for i := range 20 {
		value, err := newBearer(t).current(noon.Add(time.Duration(i) * 89 * time.Second))
		if err != nil {
			t.Fatal(err)
		}
		seen[value] = true
	}
	if len(seen) != 1 {
		t.Errorf("%d different JWTs in one half hour", len(seen))
	}
}

// What another goroutine has renewed is not renewed again; renew reports that there is another JWT.
func TestBearerIsRenewedOnceForAll(t *testing.T) {
	b := newBearer(t)
	old, err := b.current(noon)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if !b.renew(old, noon.Add(time.Minute)) {
				t.Error("the old JWT is still in use")
			}
		})
	}
	wg.Wait()
	if got := issuedAt(t, b.value); !got.Equal(noon.Add(time.Minute)) {
		t.Errorf("issued at %v, want a minute past noon", got)
	}
	if b.renew(b.value, noon.Add(2*time.Minute)) {
		t.Error("another JWT was minted within 20 minutes")
	}
}

// All apps with the same key have the same bearer, however its file is written,
// and one that is used is not forgotten.
func TestBearerOfAKey(t *testing.T) {
	var all bearerSet // shared with no other test, nor with an earlier run of this one
	now := time.Now()
	read := func(p8, keyID string) *Credential {
		c, err := NewTokenCredential([]byte(p8), keyID, "DEF123GHIJ")
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	p8 := string(pki().TokenKey)
	one := all.of(read(p8, "ONE"), now)
	if all.of(read("\n"+p8+"\n", "ONE"), now) != one {
		t.Error("the same key has two bearers")
	}
	if all.of(read(p8, "TWO"), now) == one {
		t.Error("two key identifiers share a bearer")
	}
	one.current(now.Add(bearerLife))
	all.of(read(p8, "THREE"), now.Add(bearerLife+time.Minute))
	if all.of(read(p8, "ONE"), now) != one {
		t.Error("a bearer in use was forgotten")
	}
	all.of(read(p8, "FOUR"), now.Add(3*bearerLife))
	if got := len(all.all); got != 1 {
		t.Errorf("%d bearers, want the one that was just asked for", got)
	}
	c, err := certificateCredential(append(pki().Client.CertPEM, pki().Client.KeyPEM...), "")
	if err != nil || all.of(c, now) != nil {
		t.Errorf("a certificate has a bearer, or error %v", err)
	}
}

func TestJWTParts(t *testing.T) {
	for _, part := range []any{jwtHeader{"ES256", "a\"b"}, jwtClaims{"T", 7}} {
		var back map[string]any
		text, err := jwt.NewParser().DecodeSegment(jwtPart(part))
		if err != nil || json.Unmarshal(text, &back) != nil || len(back) != 2 {
			t.Errorf("%+v became %s, %v", part, text, err)
		}
	}
}

// Two apps with one key, a probe of it, and an app that comes after a reload show
// one JWT: APNs allows at most one more in 20 minutes.
func TestOneKeyShowsOneJWT(t *testing.T) {
	sim := startSim(t, apnssim.Scenario{KeyUpdates: &apnssim.RateLimit{Count: 1, Seconds: 1200}})
	for range 3 {
		g := newRig(t, sim, Limits{})
		g.push(goodDevice, 10, hello)
		if got := g.counted(); got[Accepted] != 10 {
			t.Errorf("verdicts %v, want 10 accepted", got)
		}
		if _, err := Probe(within(t), question(t, sim)); err != nil {
			t.Error(err)
		}
	}
}

// APNs calls the JWT expired: the next is minted once for all upstreams with that
// key, and each takes fresh connections.
func TestExpiredJWT(t *testing.T) {
	sim := startSim(t, apnssim.Scenario{Reasons: []apnssim.Rule{{Reason: apnssim.ExpiredProviderToken, Times: 4}}})
	credential := ownCredential(t)
	shown := make(map[string]bool)
	rigs := []*rig{
		openRig(t, Config{Endpoint: endpoint(sim), Credential: credential}),
		openRig(t, Config{Endpoint: endpoint(sim), Credential: credential}),
	}
	for round := range 2 {
		var last string
		for _, g := range rigs {
			p := note(deviceToken(goodDevice, round), hello)
			g.send(p)
			if got := g.counted()[StaleToken]; got != round+1 {
				t.Fatalf("verdicts %v", g.counted())
			}
			last = p.Bearer
			shown[last] = true
		}
		for _, g := range rigs {
			g.Renew(last)
		}
	}
	if len(shown) != 2 {
		t.Errorf("%d JWTs were shown, want 2: no third within 20 minutes", len(shown))
	}
	for _, g := range rigs {
		g.push(goodDevice, 1, hello)
		if got := g.Stats().Dials; got != 2 {
			t.Errorf("%d connections, want a fresh one for the second JWT", got)
		}
	}
}

// The clock went ahead, a JWT was minted, and the clock was set right: APNs calls
// the JWT invalid, and the next one is good.
func TestJWTFromTheFuture(t *testing.T) {
	sim := startSim(t, apnssim.Scenario{})
	credential := ownCredential(t)
	if _, err := bearers.of(credential, time.Now()).current(time.Now().Add(3 * time.Hour)); err != nil {
		t.Fatal(err)
	}
	g := openRig(t, Config{Endpoint: endpoint(sim), Credential: credential})
	p := note(deviceToken(goodDevice, 1), hello)
	g.send(p)
	g.Renew(p.Bearer)
	g.push(goodDevice, 1, hello)
	if got := g.counted(); got[StaleToken] != 1 || got[Accepted] != 1 {
		t.Errorf("verdicts %v, want one stale and one accepted", got)
	}
}
