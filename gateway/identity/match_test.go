package identity

import (
	"crypto/x509"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"apnsbridge/gateway/devpki"
)

var (
	inside  = netip.MustParseAddr("10.1.2.3")
	outside = netip.MustParseAddr("192.0.2.7")
	ten     = netip.MustParsePrefix("10.1.0.0/16")
)

func TestMatch(t *testing.T) {
	a := create(t)
	mail := issue(t, a.ours, devpki.ClientOptions{Topic: "com.example.mail"})
	anonymous := issue(t, a.ours, devpki.ClientOptions{CommonName: "some client"})
	foreign := issue(t, a.others, devpki.ClientOptions{Topic: "com.example.mail"})
	expired := issue(t, a.ours, devpki.ClientOptions{Topic: "com.example.mail", NotBefore: a.now.AddDate(-2, 0, 0),
		NotAfter: a.now.AddDate(-1, 0, 0)})
	early := issue(t, a.ours, devpki.ClientOptions{Topic: "com.example.mail", NotBefore: a.now.Add(time.Hour)})
	many := issue(t, a.ours, devpki.ClientOptions{Topic: "com.example.many", Topics: []string{"com.example.mail"}})
	ancient := old(t)
	chain := throughIntermediate(t, x509.ExtKeyUsageClientAuth)
	anyUse := throughIntermediate(t, x509.ExtKeyUsageAny)
	server := throughIntermediate(t, x509.ExtKeyUsageServerAuth)

	byMail := Rule{App: "mail", CA: a.ca(), UID: "com.example.mail"}
	byChat := Rule{App: "chat", CA: a.ca(), UID: "com.example.chat"}
	for _, tt := range []struct {
		name  string
		rules []Rule
		chain []*x509.Certificate
		addr  netip.Addr
		app   string // "" if nobody is admitted
		why   string // then in the error
	}{
		{"no rules", nil, mail, outside, "", "not pinned"},
		{"no rules and no certificate", nil, nil, outside, "", "add {cidr: 192.0.2.7/32}"},

		{"pin", []Rule{{App: "mail", SHA256: fingerprint(mail)}}, mail, outside, "mail", ""},
		{"pin of another", []Rule{{App: "mail", SHA256: fingerprint(foreign)}}, mail, outside, "", "not pinned"},
		{"pin of an expired one", []Rule{{App: "mail", SHA256: fingerprint(expired)}}, expired, outside, "mail", ""},
		{"pin of one signed with SHA-1", []Rule{{App: "mail", SHA256: fingerprint(ancient)}}, ancient, outside, "mail", ""},
		{"pin of a key", []Rule{{App: "mail", SPKISHA256: keyPrint(ancient)}}, ancient, outside, "mail", ""},
		{"pin of another key", []Rule{{App: "mail", SPKISHA256: keyPrint(mail)}}, foreign, outside, "", "not pinned"},
		{"a pin needs the leaf", []Rule{{App: "mail", SHA256: fingerprint(mail)}}, append(slices.Clone(foreign), mail...),
			outside, "", "not pinned"},
		{"a key's fingerprint is not a certificate's", []Rule{{App: "mail", SHA256: keyPrint(mail)}}, mail, outside, "",
			"not pinned"},

		{"CA and UID", []Rule{byMail}, mail, outside, "mail", ""},
		{"CA and another UID", []Rule{byChat}, mail, outside, "", `no ca is trusted for its uid "com.example.mail"`},
		{"CA and no UID", []Rule{byMail}, anonymous, outside, "", `its uid ""`},
		{"CA alone", []Rule{{App: "mail", CA: a.ca(), Any: true}}, anonymous, outside, "mail", ""},
		{"another CA", []Rule{byMail}, foreign, outside, "", "signed by unknown authority"},
		{"one of two CAs", []Rule{{App: "mail", CA: append(a.otherCA(), a.ca()...), Any: true}}, mail, outside, "mail", ""},
		{"CA and expired", []Rule{byMail}, expired, outside, "", "expired"},
		{"CA and not yet valid", []Rule{byMail}, early, outside, "", "not yet valid"},
		{"CA and SHA-1", []Rule{{App: "mail", CA: a.ca(), Any: true}}, ancient, outside, "", "not good enough"},
		{"CA and a topic", []Rule{byMail}, many, outside, "mail", ""},
		{"a UID beats a topic", []Rule{byMail, {App: "many", CA: a.ca(), UID: "com.example.many"}}, many, outside, "many",
			""},
		{"intermediate", []Rule{{App: "mail", CA: chain[2:], UID: "com.example.mail"}}, chain[:2], outside, "mail", ""},
		{"intermediate, and the root sent too", []Rule{{App: "mail", CA: chain[2:], Any: true}}, chain, outside, "mail", ""},
		{"intermediate not sent", []Rule{{App: "mail", CA: chain[2:], Any: true}}, chain[:1], outside, "",
			"unknown authority"},
		{"a root of the stranger's own", []Rule{byMail}, chain, outside, "", "unknown authority"},
		{"for any use", []Rule{{App: "mail", CA: anyUse[2:], Any: true}}, anyUse, outside, "mail", ""},
		{"a server's certificate", []Rule{{App: "mail", CA: server[2:], Any: true}}, server, outside, "",
			"incompatible key usage"},
		{"several apps of one CA", []Rule{byChat, byMail}, mail, outside, "mail", ""},

		{"CIDR", []Rule{{App: "mail", CIDR: ten}}, nil, inside, "mail", ""},
		{"CIDR and a strange certificate", []Rule{{App: "mail", CIDR: ten}}, foreign, inside, "mail", ""},
		{"outside", []Rule{{App: "mail", CIDR: ten}}, nil, outside, "", "in no app's cidr"},
		{"outside with a strange certificate", []Rule{{App: "mail", CIDR: ten}}, foreign, outside, "", "not pinned"},
		{"IPv4 in IPv6", []Rule{{App: "mail", CIDR: ten}}, nil, netip.MustParseAddr("::ffff:10.1.2.3"), "mail", ""},
		{"CIDR of IPv4 in IPv6", []Rule{{App: "mail", CIDR: netip.MustParsePrefix("::ffff:10.1.0.0/112")}}, nil, inside,
			"mail", ""},
		{"CIDR with host bits", []Rule{{App: "mail", CIDR: netip.MustParsePrefix("10.1.9.9/16")}}, nil, inside, "mail", ""},
		{"IPv6", []Rule{{App: "mail", CIDR: netip.MustParsePrefix("fe80::/10")}}, nil,
			netip.MustParseAddr("fe80::1%eth0"), "mail", ""},
		{"the whole of IPv4", []Rule{{App: "mail", CIDR: netip.MustParsePrefix("0.0.0.0/0")}}, nil, outside, "mail", ""},
		{"IPv6 is not in it", []Rule{{App: "mail", CIDR: netip.MustParsePrefix("0.0.0.0/0")}}, nil,
			netip.MustParseAddr("2001:db8::1"), "", "2001:db8::1/128"},
		{"no address", []Rule{{App: "mail", CIDR: ten}}, nil, netip.Addr{}, "", "presented no certificate"},

		{"a pin beats a CA", []Rule{byMail, {App: "chat", SHA256: fingerprint(mail)}}, mail, outside, "chat", ""},
		{"a key's pin beats a CA", []Rule{byMail, {App: "chat", SPKISHA256: keyPrint(mail)}}, mail, outside, "chat", ""},
		{"a pin beats a CIDR", []Rule{{App: "chat", CIDR: ten}, {App: "mail", SHA256: fingerprint(mail)}}, mail, inside,
			"mail", ""},
		{"a CA beats a CIDR", []Rule{{App: "chat", CIDR: ten}, byMail}, mail, inside, "mail", ""},
		{"a topic beats a CIDR", []Rule{{App: "chat", CIDR: ten}, byMail}, many, inside, "mail", ""},
		{"a CIDR behind a CA that refuses", []Rule{{App: "chat", CIDR: ten}, byMail}, expired, inside, "chat", ""},

		{"two pins of one app", []Rule{{App: "mail", SHA256: fingerprint(mail)},
			{App: "mail", SPKISHA256: keyPrint(mail)}}, mail, outside, "mail", ""},
		{"two apps pin certificate and key", []Rule{{App: "mail", SHA256: fingerprint(mail)},
			{App: "chat", SPKISHA256: keyPrint(mail)}}, mail, outside, "", "by apps mail and chat alike"},
		{"two apps by two topics", []Rule{byMail, {App: "chat", CA: a.ca(), UID: "b"}},
			issue(t, a.ours, devpki.ClientOptions{Topic: "a", Topics: []string{"b",
				"com.example.mail"}}), outside, "", "by apps mail and chat alike"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := New(tt.rules)
			if err != nil {
				t.Fatal(err)
			}
			c, err := m.Match(tt.chain, tt.addr, a.now)
			if c.App != tt.app || (err == nil) != (tt.app != "") {
				t.Fatalf("got app %q and error %v, want %q", c.App, err, tt.app)
			}
			if err != nil {
				checkRefusal(t, err, tt.chain, tt.addr, tt.why)
			}
		})
	}
}

// A refusal says who and why, in one line.
func checkRefusal(t *testing.T, err error, chain []*x509.Certificate, addr netip.Addr, why string) {
	t.Helper()
	want := []string{addr.Unmap().String(), why}
	if len(chain) > 0 {
		want = append(want, fingerprint(chain).String(), chain[0].Subject.CommonName)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("got %q, want %q in it", err, w)
		}
	}
	if strings.ContainsAny(err.Error(), "\n\r") {
		t.Errorf("got more than a line: %q", err)
	}
}

// Who it was, besides its app.
func TestClient(t *testing.T) {
	a := create(t)
	mail := issue(t, a.ours, devpki.ClientOptions{Topic: "com.example.mail"})
	digits := strings.ReplaceAll(fingerprint(mail).String(), ":", "")
	topics := []string{"com.example.mail.voip", "com.example.mail.complication"}
	for _, tt := range []struct {
		name string
		rule Rule
		addr netip.Addr
		want Client
		log  string
	}{
		{"pin", Rule{App: "mail", SHA256: fingerprint(mail)}, outside,
			Client{"mail", digits, digits, "com.example.mail", topics}, digits[:16]},
		{"CA", Rule{App: "mail", CA: a.ca(), Any: true}, outside,
			Client{"mail", digits, digits, "com.example.mail", topics}, digits[:16]},
		{"CIDR", Rule{App: "mail", CIDR: ten}, netip.MustParseAddr("::ffff:10.1.2.3"),
			Client{"mail", "10.1.0.0/16", "10.1.0.0/16 10.1.2.3", "", nil}, "10.1.0.0/16"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := New([]Rule{tt.rule})
			if err != nil {
				t.Fatal(err)
			}
			got, err := m.Match(mail, tt.addr, a.now)
			if err != nil || got.App != tt.want.App || got.ID != tt.want.ID || got.Counted != tt.want.Counted ||
				got.Topic != tt.want.Topic || !slices.Equal(got.Topics, tt.want.Topics) {
				t.Errorf("got %+v and error %v, want %+v", got, err, tt.want)
			}
			if got.Short() != tt.log {
				t.Errorf("got %q for the log, want %q", got.Short(), tt.log)
			}
		})
	}
}

// The time is the caller's.
func TestMatchLater(t *testing.T) {
	a := create(t)
	mail := issue(t, a.ours, devpki.ClientOptions{Topic: "com.example.mail"})
	m, err := New([]Rule{{App: "mail", CA: a.ca(), Any: true}})
	if err != nil {
		t.Fatal(err)
	}
	for _, now := range []time.Time{mail[0].NotBefore, mail[0].NotAfter} {
		if _, err := m.Match(mail, outside, now); err != nil {
			t.Errorf("at %v: got error %v", now, err)
		}
	}
	for _, now := range []time.Time{mail[0].NotBefore.Add(-time.Second), mail[0].NotAfter.Add(time.Second)} {
		if c, err := m.Match(mail, outside, now); err == nil {
			t.Errorf("at %v: got %+v", now, c)
		}
	}
}

// What a stranger calls himself does not fill the log.
func TestRefusalIsShort(t *testing.T) {
	a := create(t)
	long := issue(t, a.others, devpki.ClientOptions{CommonName: strings.Repeat("\n", 30000)})
	m, err := New([]Rule{{App: "mail", CA: a.ca(), Any: true}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.Match(long, outside, a.now)
	if err == nil || len(err.Error()) > 2000 || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %.300q (%d bytes), want one short line", err, len(err.Error()))
	}
}
