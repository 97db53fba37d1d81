package identity

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"apnsbridge/gateway/devpki"
)

// Who has a pinned key writes certificates around it. Neither the topic nor the
// name by which a client's bounds are counted comes from them.
func TestPinnedKeyVouchesForNothingElse(t *testing.T) {
	a := create(t)
	mail := issue(t, a.ours, devpki.ClientOptions{Topic: "com.example.mail"})
	key := keyPrint(mail)
	around := func(topic string, serial int) []*x509.Certificate {
		c := *mail[0]
		c.Raw = fmt.Appendf(nil, "another certificate of the same key: %d", serial)
		c.Subject.Names, c.Extensions, c.Subject.CommonName = nil, nil, "Apple Push Services: "+topic
		if topic == "" {
			c.Subject.CommonName = "some name"
		}
		return []*x509.Certificate{&c}
	}
	for _, tt := range []struct {
		name, named string
		topics      []string
		want        string
		why         string // of the refusal
	}{
		{"the app's own topic", "com.example.beta", nil, "", ""},
		{"no word", "", []string{"com.example.mail"}, "com.example.mail", ""},
		{"the same word", "com.example.mail", []string{"com.example.mail"}, "com.example.mail", ""},
		{"one of several", "b", []string{"a", "b"}, "b", ""},
		{"another", "com.apple.mgmt.External.victim", []string{"com.example.mail"}, "",
			`"com.apple.mgmt.External.victim" is not one of those`},
		{"none of several", "", []string{"a", "b"}, "", `"" is not one of those`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := New([]Rule{{App: "mail", SPKISHA256: key, Topics: tt.topics}})
			if err != nil {
				t.Fatal(err)
			}
			for serial := range 3 {
				c, err := m.Match(around(tt.named, serial), outside, a.now)
				if tt.why != "" {
					if err == nil || !strings.Contains(err.Error(), tt.why) {
						t.Fatalf("got %+v and error %v, want %q", c, err, tt.why)
					}
					continue
				}
				if err != nil || c.Topic != tt.want || c.ID != strings.ReplaceAll(key.String(), ":", "") {
					t.Fatalf("got %+v and error %v, want topic %q and the key's hash", c, err, tt.want)
				}
			}
		})
	}
}

// A certificate that is admitted for a topic of its extensions speaks for that
// topic, whatever its UID is.
func TestTopicOfTheRule(t *testing.T) {
	a := create(t)
	many := issue(t, a.ours, devpki.ClientOptions{Topic: "com.example.many", Topics: []string{"com.example.mail"}})
	m, err := New([]Rule{{App: "mail", CA: a.ca(), UID: "com.example.mail"}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := m.Match(many, outside, a.now)
	if err != nil || c.Topic != "com.example.mail" {
		t.Errorf("got %+v and error %v", c, err)
	}
}

// An IPv6 client has 2⁶⁴ addresses and is one client.
func TestSubscriber(t *testing.T) {
	m, err := New([]Rule{{App: "mail", CIDR: netip.MustParsePrefix("2001:db8::/32")}})
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{"2001:db8::1", "2001:db8::ffff:1"} {
		if c, err := m.Match(nil, netip.MustParseAddr(addr), time.Now()); err != nil || c.ID != "2001:db8::/32" ||
			c.Counted != "2001:db8::/32 2001:db8::/64" {
			t.Errorf("%s: got %+v and error %v", addr, c, err)
		}
	}
}

// A verdict is remembered for the chain that was sent, and not beyond the time of
// any certificate in it.
func TestVerdicts(t *testing.T) {
	chain := throughIntermediate(t, x509.ExtKeyUsageClientAuth)
	m, err := New([]Rule{{App: "mail", CA: chain[2:], UID: "com.example.mail"}})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for _, step := range []struct {
		name  string
		chain []*x509.Certificate
		now   time.Time
		good  bool
	}{
		{"without the intermediate", chain[:1], now, false},
		{"with it", chain[:2], now, true},
		{"again", chain[:2], now, true},
		{"without it, again", chain[:1], now, false},
		{"before its time", chain[:2], chain[0].NotBefore.Add(-time.Second), false},
		{"behind its time", chain[:2], chain[1].NotAfter.Add(time.Second), false},
		{"in its time", chain[:2], chain[0].NotAfter, true},
	} {
		if _, err := m.Match(step.chain, outside, step.now); (err == nil) != step.good {
			t.Errorf("%s: got error %v", step.name, err)
		}
	}
	v := m.authorities[0].verdicts
	if n := len(v.young); n != 1 {
		t.Errorf("%d verdicts are remembered, want 1", n)
	}
	for i := range 3 * mostVerdicts {
		v.remember([32]byte{byte(i), byte(i >> 8), byte(i >> 16)}, chain)
	}
	if n := len(v.young) + len(v.old); n > mostVerdicts {
		t.Errorf("%d verdicts are remembered, want at most %d", n, mostVerdicts)
	}
}

// A resumed connection costs no signature.
func BenchmarkMatch(b *testing.B) {
	p, err := ours()
	if err != nil {
		b.Fatal(err)
	}
	pair, err := p.Issue(devpki.ClientOptions{Topic: "com.example.mail"})
	if err != nil {
		b.Fatal(err)
	}
	m, err := New([]Rule{{App: "mail", CA: []*x509.Certificate{p.CA.Leaf}, UID: "com.example.mail"}})
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now()
	for b.Loop() {
		if _, err := m.Match([]*x509.Certificate{pair.Leaf}, outside, now); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzClip(f *testing.F) {
	f.Add(strings.Repeat("\x01", 120_000))
	f.Add("Müller\n\x1b[31m\u202e")
	f.Add(strings.Repeat("€", 67))
	f.Fuzz(func(t *testing.T, s string) {
		c := Clip(s)
		if len(c) > clipped+len("…") || !utf8.ValidString(c) || strings.ContainsAny(c, "\n\r\x00\x1b\u202e") {
			t.Errorf("got %q", c)
		}
	})
}
