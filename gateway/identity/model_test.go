package identity

import (
	"crypto/x509"
	"net/netip"
	"testing"

	"apnsbridge/gateway/devpki"

	"pgregory.net/rapid"
)

// presented is a certificate of which is known who has issued it and how.
type presented struct {
	chain  []*x509.Certificate
	issuer int // place in the CAs; -1 if nobody admits it any more
	uid    string
	topics []string
}

// strength says, by what is known, how strongly a rule admits a connection.
func strength(r Rule, cas [][]*x509.Certificate, p presented, addr netip.Addr) rank {
	if r.CIDR.IsValid() && r.CIDR.Contains(addr) {
		return byNetwork
	}
	if p.chain == nil {
		return byNothing
	}
	if r.SHA256 == fingerprint(p.chain) || r.SPKISHA256 == keyPrint(p.chain) {
		return byPin
	}
	if r.CA == nil || p.issuer < 0 || r.CA[0] != cas[p.issuer][0] {
		return byNothing
	}
	if r.UID == "" || r.UID == p.uid {
		return byAuthority
	}
	for _, topic := range p.topics {
		if topic == r.UID {
			return byTopic
		}
	}
	return byNothing
}

// No connection is ever taken for a client of an app that does not admit it, or
// that another app admits as strongly.
func TestNeverAnotherApp(t *testing.T) {
	a := create(t)
	cas := [][]*x509.Certificate{a.ca(), a.otherCA()}
	all := []presented{{}}
	for i, p := range []*devpki.PKI{a.ours, a.others} {
		for _, topic := range []string{"x", "y", "z"} {
			chain := issue(t, p, devpki.ClientOptions{Topic: topic, Topics: []string{"y", "z"}})
			all = append(all, presented{chain, i, topic, []string{topic, "y", "z"}})
		}
		all = append(all,
			presented{issue(t, p, devpki.ClientOptions{CommonName: "x"}), i, "", nil},
			presented{issue(t, p, devpki.ClientOptions{Topic: "x", NotBefore: a.now.AddDate(-2, 0, 0),
				NotAfter: a.now.AddDate(-1, 0, 0)}), -1, "x", nil})
	}
	var certificates []presented
	for _, p := range all {
		if p.chain != nil {
			certificates = append(certificates, p)
		}
	}
	networks := []netip.Prefix{ten, netip.MustParsePrefix("10.1.2.0/24"), netip.MustParsePrefix("192.0.2.0/24")}
	ruleOf := rapid.Custom(func(t *rapid.T) Rule {
		r := Rule{App: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "app")}
		switch rapid.SampledFrom([]string{"pin", "key", "ca", "cidr"}).Draw(t, "kind") {
		case "pin":
			r.SHA256 = fingerprint(rapid.SampledFrom(certificates).Draw(t, "pin").chain)
		case "key":
			r.SPKISHA256 = keyPrint(rapid.SampledFrom(certificates).Draw(t, "key").chain)
		case "ca":
			r.CA = rapid.SampledFrom(cas).Draw(t, "ca")
			r.UID = rapid.SampledFrom([]string{"", "x", "y", "z"}).Draw(t, "uid")
			r.Any = r.UID == ""
		case "cidr":
			r.CIDR = rapid.SampledFrom(networks).Draw(t, "cidr")
		}
		return r
	})
	outcomes := make(map[string]int)
	rapid.Check(t, func(t *rapid.T) {
		var rules []Rule
		var m *Matcher
		for range rapid.IntRange(1, 8).Draw(t, "rules") {
			more := append(rules[:len(rules):len(rules)], ruleOf.Draw(t, "rule"))
			if next, err := New(more); err == nil { // else leave the rule that contradicts
				rules, m = more, next
			}
		}
		p := rapid.SampledFrom(all).Draw(t, "certificate")
		addr := rapid.SampledFrom([]netip.Addr{inside, outside}).Draw(t, "address")

		best, apps := byNothing, map[string]bool{}
		for _, r := range rules {
			s := strength(r, cas, p, addr)
			if s > best {
				best, apps = s, map[string]bool{}
			}
			if s == best && s != byNothing {
				apps[r.App] = true
			}
		}
		got, err := m.Match(p.chain, addr, a.now)
		if (err == nil) != (len(apps) == 1) {
			t.Fatalf("got app %q and error %v, want one of %v", got.App, err, apps)
		}
		if err == nil && !apps[got.App] {
			t.Fatalf("got app %q, want %v", got.App, apps)
		}
		outcomes[map[bool]string{true: "admitted", false: "refused"}[err == nil]]++
	})
	if outcomes["admitted"] == 0 || outcomes["refused"] == 0 {
		t.Errorf("got outcomes %v, which proves nothing", outcomes)
	}
}
