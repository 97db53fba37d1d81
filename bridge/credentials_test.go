package bridge

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/bridge/lane"
	"apnsbridge/bridge/settings"
	"apnsbridge/bridge/upstream"
	"apnsbridge/store/boltstore"
)

// startApple is a simulator that stands for both of Apple's endpoints behind a proxy, and
// an app without an endpoint, which goes there.
func startApple(t *testing.T, scenario apnssim.Scenario) (*apnssim.Simulator, App) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true, DNSNames: []string{"api.push.apple.com", "api.sandbox.push.apple.com"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	sim, err := apnssim.Start(apnssim.Config{Scenario: scenario,
		Certificate: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sim.Close() })
	app := App{Name: "mail", Topic: topic, EndpointCA: x509.NewCertPool(),
		Proxy: startProxyTo(t, strings.TrimPrefix(sim.URL(), "https://"), true, new(atomic.Int32))}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	app.EndpointCA.AddCert(leaf)
	return sim, app
}

// newKey makes a signing key, in the forms that the simulator and an app need.
func newKey(t *testing.T, keyID string) (apnssim.Key, *upstream.Credential) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	p8 := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	c, err := upstream.NewTokenCredential(p8, keyID, "DEF123GHIJ")
	if err != nil {
		t.Fatal(err)
	}
	return apnssim.Key{KeyID: keyID, TeamID: "DEF123GHIJ", PEM: string(p8)}, c
}

// Two keys, each of which APNs refuses in the other's environment: both are served.
// With one of them alone the other environment waits, its problem says what to do,
// and a reload with both is enough.
func TestKeyForEachEnvironment(t *testing.T) {
	t.Parallel()
	production, productionKey := newKey(t, "PRODUCTION")
	sandbox, sandboxKey := newKey(t, "SANDBOX123")
	production.Environment, sandbox.Environment = apnssim.Production, apnssim.Sandbox
	for _, mode := range allModes {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			sim, app := startApple(t, apnssim.Scenario{Keys: []apnssim.Key{production, sandbox}})
			app.Environment, app.Credentials = ByListener, forAll(productionKey)
			both := app
			both.Credentials = []Credential{
				{Credential: productionKey, Environment: Production}, {Credential: sandboxKey, Environment: Sandbox},
			}
			b := startBridge(t, spooled(openStore(t, t.TempDir(), boltstore.Options{}), mode.mode, app))
			const count = 50
			push := func(from int) {
				for e, o := range []Origin{{Client: "p"}, {Client: "s", Environment: Sandbox}} {
					session, p := open(t, b, o)
					pushMany(t, session, p, from+e*count, count)
					session.Close(nil)
				}
			}
			push(0)
			until(t, "production is served, and the problem of sandbox told", func() bool {
				problem := b.Problems()["mail"]
				return sim.Stats().Accepted == count && strings.Contains(problem, "(sandbox, ") &&
					strings.Contains(problem, "the key PRODUCTION is for production alone: give each environment its own, under "+
						"credential.production and credential.sandbox") && b.Serves("mail")
			})
			if err := b.Reload([]App{both}); err != nil {
				t.Fatal(err)
			}
			push(2 * count)
			delivered(t, b)
			if st := sim.Stats(); st.Accepted != 4*count || st.Duplicates != 0 || len(b.Problems()) != 0 {
				t.Errorf("%d accepted, %d doubled, problems %v; want %d", st.Accepted, st.Duplicates, b.Problems(), 4*count)
			}
			for _, q := range both.Questions() {
				if _, err := settings.Probe(within(t), both, q); err != nil {
					t.Errorf("asked in %v: %v", q.Environment, err)
				}
			}
		})
	}
}

// scoped gives a key for each of two topics, and credentials with both keys.
func scoped(t *testing.T) (mail, chat apnssim.Key, credentials []Credential) {
	mail, mailKey := newKey(t, "MAILKEY123")
	chat, chatKey := newKey(t, "CHATKEY123")
	mail.Topics, chat.Topics = []string{"com.example.mail"}, []string{"com.example.chat"}
	return mail, chat, []Credential{
		{Credential: mailKey, Environment: ByListener, Topics: mail.Topics},
		{Credential: chatKey, Environment: ByListener, Topics: chat.Topics},
	}
}

// pushTo pushes to devices of a topic, and its voip topic.
func pushTo(t *testing.T, b *Bridge, topic string, from, count int) {
	t.Helper()
	for i, suffix := range []string{"", ".voip"} {
		session, p := open(t, b, Origin{Client: topic, Topic: topic + suffix})
		pushMany(t, session, p, from+i*count, count)
		session.Close(nil)
	}
}

// Two topics with a key each: both are served.
func TestKeyForEachTopic(t *testing.T) {
	t.Parallel()
	mail, chat, credentials := scoped(t)
	sim := startSim(t, apnssim.Scenario{Keys: []apnssim.Key{mail, chat}})
	app := mailApp(t, sim)
	app.Topic, app.Credentials = "", credentials
	b := startBridge(t, Config{Apps: []App{app}})
	const count = 50
	pushTo(t, b, "com.example.mail", 0, count)
	pushTo(t, b, "com.example.chat", 1000, count)
	delivered(t, b)
	if st := sim.Stats(); st.Accepted != 4*count || st.Rejected != 0 || len(b.Problems()) != 0 {
		t.Errorf("%d accepted, %d refused, problems %v", st.Accepted, st.Rejected, b.Problems())
	}
	for _, q := range app.Questions() {
		if _, err := settings.Probe(within(t), app, q); err != nil {
			t.Errorf("asked for %s: %v", q.Topic, err)
		}
	}
}

// One of the keys is bad in one way or another: the topics of the other key go on, the problem
// names those of the bad one, and they go within one probe of the key being put right.
func TestKeyOfOneTopicIsRefused(t *testing.T) {
	t.Parallel()
	mail, chat, credentials := scoped(t)
	good := apnssim.Scenario{Keys: []apnssim.Key{mail, chat}, Bind: true}
	for _, tt := range []struct {
		name   string
		before apnssim.Scenario
		change func(*App)
		want   string
	}{
		{"it is not known", apnssim.Scenario{Keys: []apnssim.Key{mail}, Bind: true}, nil,
			"APNs does not take this app's pushes: 403 InvalidProviderToken"},
		{"it is for other topics", apnssim.Scenario{Keys: []apnssim.Key{mail, func() apnssim.Key {
			other := chat
			other.Topics = []string{"com.example.talk"}
			return other
		}()}, Bind: true}, nil, "400 TopicDisallowed: the credential is not for the topic com.example.chat: name it under " +
			"topics of the key that is for it"},
		{"its file is of no use", good, func(a *App) {
			a.Credentials[1].Credential = upstream.Unusable(fmt.Errorf("the file is empty"))
		}, "APNs cannot be reached: the file is empty"},
	} {
		for _, mode := range allModes {
			t.Run(tt.name+", "+mode.name, func(t *testing.T) {
				t.Parallel()
				sim, clock := startSim(t, tt.before), new(movableClock)
				app := mailApp(t, sim)
				app.Topic, app.Credentials = "", append([]Credential(nil), credentials...)
				right := app
				right.Credentials = credentials
				if tt.change != nil {
					tt.change(&app)
				}
				c := spooled(openStore(t, t.TempDir(), boltstore.Options{}), mode.mode, app)
				c.Now = clock.now
				b := startBridge(t, c)
				const count = 100
				pushTo(t, b, "com.example.chat", 1000, count)
				until(t, "its topics' doors are closed", func() bool { return gateOf(b, "mail").TopicsShut == 2 })
				pushTo(t, b, "com.example.mail", 0, count)
				until(t, "the other's are served", func() bool {
					return sim.Stats().Accepted == 2*count && strings.Contains(b.Problems()["mail"], tt.want) && b.Serves("mail")
				})
				setScenario(t, sim, good)
				if tt.change != nil {
					if err := b.Reload([]App{right}); err != nil {
						t.Fatal(err)
					}
				}
				clock.forward(2 * heldPeriod)
				delivered(t, b)
				if st := sim.Stats(); st.Accepted != 4*count || st.Duplicates != 0 || len(b.Problems()) != 0 {
					t.Errorf("%d accepted, %d doubled, problems %v", st.Accepted, st.Duplicates, b.Problems())
				}
			})
		}
	}
}

// What APNs says at the end of a connection of one key closes the doors of its topics.
func TestTroubleOfOneKey(t *testing.T) {
	t.Parallel()
	mail, chat, credentials := scoped(t)
	sim := startSim(t, apnssim.Scenario{Keys: []apnssim.Key{mail, chat}})
	app := mailApp(t, sim)
	app.Topic, app.Credentials = "", credentials
	b := startBridge(t, Config{Apps: []App{app}})
	pushTo(t, b, "com.example.mail", 0, 5)
	pushTo(t, b, "com.example.chat", 1000, 5)
	delivered(t, b)
	a := b.apps["mail"]
	rt := a.route.Load()
	for _, class := range []upstream.Class{upstream.CredentialRefused, upstream.TopicRefused, upstream.TokenUpdates,
		upstream.StaleToken} {
		a.troubled(rt, Production, rt.ways[Production][1], upstream.Verdict{Class: class, Reason: "Said"})
		l := a.lanes[Production]
		l.during(func(lane.Now) {
			if l.core.Door.Reason != lane.Open {
				t.Errorf("%v: the lane's door is closed: %v", class, l.core.Door.Reason)
			}
			for _, n := range l.core.Lines() {
				want := lane.Open
				if strings.HasPrefix(n.Name, "com.example.chat") {
					want = lane.Topic
				}
				if n.Door.Reason != want {
					t.Errorf("%v: the door of %s is %v, want %v", class, n.Name, n.Door.Reason, want)
				}
			}
		})
		if got := b.Problems()["mail"]; !strings.Contains(got, "Said") {
			t.Errorf("%v: the problem is %q", class, got)
		}
	}
}
