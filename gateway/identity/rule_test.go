package identity

import (
	"net/netip"
	"testing"
)

func TestNewRefuses(t *testing.T) {
	a := create(t)
	f := Fingerprint{0xab}
	const print = "ab:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00"
	const ca = `"CN=apnsbridge development CA,O=apnsbridge"`
	both := append(a.otherCA(), a.ca()...)
	for _, tt := range []struct {
		name  string
		rules []Rule
		want  string // "" if they are good
	}{
		{"no app", []Rule{{SHA256: f}}, "a client without an app: name the app that it may speak for"},
		{"no way", []Rule{{App: "a"}}, "app a: a client has 0 of sha256, spki_sha256, ca and cidr: give it exactly one"},
		{"two ways", []Rule{{App: "a", SHA256: f, CIDR: ten}},
			"app a: a client has 2 of sha256, spki_sha256, ca and cidr: give it exactly one"},
		{"UID with a pin", []Rule{{App: "a", SHA256: f, UID: "x"}},
			`app a: a client has the uid "x" and no ca: say which ca is trusted for it`},
		{"a CA alone", []Rule{{App: "a", CA: a.ca()}},
			"app a: a client has a ca and no uid: name the uid of its certificate, or admit every " +
				"certificate of the ca with any: true"},
		{"a CA with UID and any", []Rule{{App: "a", CA: a.ca(), UID: "x", Any: true}},
			`app a: a client has the uid "x" and any: keep one of them`},
		{"any without a CA", []Rule{{App: "a", SHA256: f, Any: true}},
			"app a: a client has any and no ca: any means every certificate of a ca"},
		{"topics of a certificate", []Rule{{App: "a", SHA256: f, Topics: []string{"x"}}},
			"app a: a client has topics and no spki_sha256: they say what the owner of a pinned key may push to"},
		{"a topic that is none", []Rule{{App: "a", SPKISHA256: f, Topics: []string{"a b"}}},
			"app a: a client has a topic that is none: write up to 255 printable ASCII characters without blanks"},
		{"no network", []Rule{{App: "a", CIDR: netip.PrefixFrom(inside, 99)}},
			"app a: a client's cidr is no network: write one like 10.1.0.0/16"},

		{"same pin", []Rule{{App: "a", SHA256: f}, {App: "b", SHA256: f}}, "apps a and b both pin the certificate " +
			print + ": leave it to one of them"},
		{"same key", []Rule{{App: "a", SPKISHA256: f}, {App: "b", SPKISHA256: f}}, "apps a and b both pin the key " +
			print + ": leave it to one of them"},
		{"same pin in one app", []Rule{{App: "a", SHA256: f}, {App: "a", SHA256: f}}, ""},
		{"same figure for certificate and key", []Rule{{App: "a", SHA256: f}, {App: "b", SPKISHA256: f}}, ""},

		{"same CA", []Rule{{App: "a", CA: a.ca(), Any: true}, {App: "b", CA: a.ca(), Any: true}},
			"apps a and b both admit certificates of the ca " + ca + ": give each a uid of its own"},
		{"same CA and UID", []Rule{{App: "a", CA: a.ca(), UID: "x"}, {App: "b", CA: a.ca(), UID: "x"}},
			"apps a and b both admit certificates of the ca " + ca + ": give each a uid of its own"},
		{"same CA, one without UID", []Rule{{App: "a", CA: a.ca(), UID: "x"}, {App: "b", CA: a.ca(), Any: true}},
			"apps a and b both admit certificates of the ca " + ca + ": give each a uid of its own"},
		{"same CA in a bundle", []Rule{{App: "a", CA: both, Any: true}, {App: "b", CA: a.ca(), UID: "x"}},
			"apps a and b both admit certificates of the ca " + ca + ": give each a uid of its own"},
		{"same CA, two UIDs", []Rule{{App: "a", CA: a.ca(), UID: "x"}, {App: "b", CA: a.ca(), UID: "y"}}, ""},
		{"same CA in one app", []Rule{{App: "a", CA: a.ca(), Any: true}, {App: "a", CA: a.ca(), UID: "x"}}, ""},
		{"two CAs", []Rule{{App: "a", CA: a.ca(), Any: true}, {App: "b", CA: a.otherCA(), Any: true}}, ""},

		{"same network", []Rule{{App: "a", CIDR: ten}, {App: "b", CIDR: ten}},
			"apps a and b both admit addresses of 10.1.0.0/16 and 10.1.0.0/16: make their networks disjoint"},
		{"network within another", []Rule{{App: "a", CIDR: ten}, {App: "b", CIDR: netip.MustParsePrefix("10.1.2.3/32")}},
			"apps a and b both admit addresses of 10.1.0.0/16 and 10.1.2.3/32: make their networks disjoint"},
		{"IPv4 in IPv6", []Rule{{App: "a", CIDR: ten}, {App: "b", CIDR: netip.MustParsePrefix("::ffff:10.1.2.0/120")}},
			"apps a and b both admit addresses of 10.1.0.0/16 and 10.1.2.0/24: make their networks disjoint"},
		{"same network in one app", []Rule{{App: "a", CIDR: ten}, {App: "a", CIDR: ten}}, ""},
		{"neighbours", []Rule{{App: "a", CIDR: ten}, {App: "b", CIDR: netip.MustParsePrefix("10.2.0.0/16")}}, ""},

		{"kinds do not compete", []Rule{{App: "a", SHA256: f}, {App: "b", CA: a.ca(), Any: true}, {App: "c", CIDR: ten}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := New(tt.rules)
			if got := errorText(err); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
