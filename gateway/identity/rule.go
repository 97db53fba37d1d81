// Package identity says which client a connection belongs to, by its certificate
// or its address. It reads no file and asks no clock, and keeps nothing but
// which chains its rules have found good.
package identity

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Rule is one way to be admitted as a client of an app: by exactly one of
// SHA256, SPKISHA256, CA and CIDR.
type Rule struct {
	App string

	SHA256     Fingerprint // of the certificate, which may be expired or signed with SHA-1
	SPKISHA256 Fingerprint // of its SubjectPublicKeyInfo: a certificate renewed with the same key

	// Topics stands beside SPKISHA256: what the client may push to. Whoever has
	// the key writes its certificates, so none of them is taken at its word.
	Topics []string

	CA  []*x509.Certificate // one of them has signed it, directly or not, and it is valid now
	UID string              // beside CA: what the subject's UID or one of Apple's topics has to be
	Any bool                // beside CA, in place of UID: every certificate of it

	CIDR netip.Prefix // any connection from there, with whatever certificate or none
}

// Matcher holds rules that do not contradict each other. Its methods may be called
// from any goroutine.
type Matcher struct {
	certificates map[Fingerprint]Rule // by pinned certificate
	keys         map[Fingerprint]Rule // by pinned key
	authorities  []authority
	networks     []Rule
}

// authority is a set of CA certificates and the rules that trust it.
type authority struct {
	certificates []*x509.Certificate
	pool         *x509.CertPool
	rules        []Rule
	verdicts     *verdicts
}

// New takes the rules. Two apps that would admit the same client by rules of the
// same kind are an error.
func New(rules []Rule) (*Matcher, error) {
	m := &Matcher{certificates: make(map[Fingerprint]Rule), keys: make(map[Fingerprint]Rule)}
	for _, r := range rules {
		if err := r.check(); err != nil {
			return nil, err
		}
		if err := m.add(r); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (r Rule) check() error {
	ways := 0
	for _, given := range []bool{r.SHA256 != Fingerprint{}, r.SPKISHA256 != Fingerprint{}, len(r.CA) > 0,
		r.CIDR != netip.Prefix{}} {
		if given {
			ways++
		}
	}
	switch {
	case r.App == "":
		return errors.New("a client without an app: name the app that it may speak for")
	case ways != 1:
		return fmt.Errorf("app %s: a client has %d of sha256, spki_sha256, ca and cidr: give it exactly one", r.App,
			ways)
	case r.UID != "" && len(r.CA) == 0:
		return fmt.Errorf("app %s: a client has the uid %q and no ca: say which ca is trusted for it", r.App, r.UID)
	case r.Any && len(r.CA) == 0:
		return fmt.Errorf("app %s: a client has any and no ca: any means every certificate of a ca", r.App)
	case r.UID != "" && r.Any:
		return fmt.Errorf("app %s: a client has the uid %q and any: keep one of them", r.App, r.UID)
	case len(r.CA) > 0 && r.UID == "" && !r.Any:
		return fmt.Errorf("app %s: a client has a ca and no uid: name the uid of its certificate, or admit every "+
			"certificate of the ca with any: true", r.App)
	case len(r.Topics) > 0 && r.SPKISHA256 == Fingerprint{}:
		return fmt.Errorf("app %s: a client has topics and no spki_sha256: they say what the owner of a pinned key "+
			"may push to", r.App)
	case slices.ContainsFunc(r.Topics, func(topic string) bool { return !isTopic(topic) }):
		return fmt.Errorf("app %s: a client has a topic that is none: write up to 255 printable ASCII characters "+
			"without blanks", r.App)
	case len(r.CA) == 0 && r.CIDR != netip.Prefix{} && !r.CIDR.IsValid():
		return fmt.Errorf("app %s: a client's cidr is no network: write one like 10.1.0.0/16", r.App)
	}
	return nil
}

func (m *Matcher) add(r Rule) error {
	switch {
	case r.SHA256 != Fingerprint{}:
		return pin(m.certificates, "certificate", r.SHA256, r)
	case r.SPKISHA256 != Fingerprint{}:
		return pin(m.keys, "key", r.SPKISHA256, r)
	case len(r.CA) > 0:
		return m.trust(r)
	}
	r.CIDR = Network(r.CIDR)
	for _, other := range m.networks {
		if other.App != r.App && other.CIDR.Overlaps(r.CIDR) {
			return fmt.Errorf("apps %s and %s both admit addresses of %s and %s: make their networks disjoint",
				other.App, r.App, other.CIDR, r.CIDR)
		}
	}
	m.networks = append(m.networks, r)
	return nil
}

// Network gives a network of IPv4 addresses its own form, as addresses are
// compared in it: ::ffff:10.0.0.0/104 is 10.0.0.0/8.
func Network(p netip.Prefix) netip.Prefix {
	const mapped = 128 - 32
	if p.Addr().Is4In6() && p.Bits() >= mapped {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mapped)
	}
	return p.Masked()
}

// pin adds the topics of an app's rules for one key.
func pin(pins map[Fingerprint]Rule, what string, f Fingerprint, r Rule) error {
	other, ok := pins[f]
	if ok && other.App != r.App {
		return fmt.Errorf("apps %s and %s both pin the %s %s: leave it to one of them", other.App, r.App, what, f)
	}
	r.Topics = slices.Concat(other.Topics, r.Topics)
	pins[f] = r
	return nil
}

func (m *Matcher) trust(r Rule) error {
	for _, a := range m.authorities {
		if !a.shares(r.CA) {
			continue
		}
		for _, other := range a.rules {
			if other.App == r.App || other.UID != r.UID && other.UID != "" && r.UID != "" {
				continue
			}
			return fmt.Errorf("apps %s and %s both admit certificates of the ca %q: give each a uid of its own",
				other.App, r.App, Clip(r.CA[0].Subject.String()))
		}
	}
	for i, a := range m.authorities {
		if len(a.certificates) == len(r.CA) && a.holds(r.CA) {
			m.authorities[i].rules = append(a.rules, r)
			return nil
		}
	}
	pool := x509.NewCertPool()
	for _, c := range r.CA {
		pool.AddCert(c)
	}
	m.authorities = append(m.authorities, authority{r.CA, pool, []Rule{r}, newVerdicts()})
	return nil
}
