package identity

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Client is who speaks on a connection.
type Client struct {
	App string

	// ID tells the clients of an app apart: the certificate's SHA-256 in 64 small
	// hexadecimal digits, or the key's where that is pinned, or the network of the
	// rule by whose CIDR it was admitted, whatever its address of the day. A client
	// cannot make itself a new one.
	ID string

	// Counted tells apart who has a bound for themselves: the ID, behind which stands
	// the address of one that was admitted by CIDR; of IPv6 the /64 that one
	// subscriber has.
	Counted string

	// What the client may push to, as far as the rule, a pinned certificate or a
	// trusted CA vouches for it. A client that was admitted by CIDR has neither.
	Topic  string
	Topics []string // further ones
}

// Roams reports whether the client is the same whatever its address: it was admitted
// by CIDR.
func (c Client) Roams() bool { return c.Counted != c.ID }

// Short is the ID for logs: 16 digits of a fingerprint, or the whole network.
func (c Client) Short() string {
	if len(c.ID) == 2*sha256.Size {
		return c.ID[:16]
	}
	return c.ID
}

// rank is how strong a way to be admitted is.
type rank uint8

const (
	byNothing rank = iota
	byNetwork
	byTopic // by a CA, and one of Apple's topics in place of the UID
	byAuthority
	byPin
)

// found is the strongest admission, the rule that gives it, and a second app
// that has an equal one.
type found struct {
	rank  rank
	rule  Rule
	rival string
}

func (f *found) admit(r rank, rule Rule) {
	switch {
	case r > f.rank:
		*f = found{rank: r, rule: rule}
	case r == f.rank && rule.App != f.rule.App:
		f.rival = rule.App
	}
}

// Match says which client presents chain, its own certificate first, from addr. A
// pin beats a CA, a CA beats a CIDR; where rules of two apps are equally strong,
// no client is admitted. That the client has the private key is the caller's to
// verify, as crypto/tls does.
//
// The error says in one sentence who was refused and what would admit it.
func (m *Matcher) Match(chain []*x509.Certificate, addr netip.Addr, now time.Time) (Client, error) {
	addr = addr.Unmap().WithZone("")
	f, reason := m.search(chain, addr, now)
	if f.rival != "" {
		return Client{}, ambiguous(chain, addr, f)
	}
	if f.rank == byNothing {
		return Client{}, refusal(chain, addr, reason)
	}
	c := Client{App: f.rule.App}
	switch r := f.rule; {
	case f.rank == byNetwork:
		c.ID = r.CIDR.String()
		c.Counted = c.ID + " " + subscriber(addr)
		return c, nil
	case r.SPKISHA256 != Fingerprint{}:
		c.ID = hex.EncodeToString(r.SPKISHA256[:])
		if err := c.vouch(r.Topics, chain[0]); err != nil {
			return Client{}, refusal(chain, addr, err)
		}
	default:
		id := sha256.Sum256(chain[0].Raw)
		c.ID = hex.EncodeToString(id[:])
		c.Topic, c.Topics = Topics(chain[0])
		if f.rank == byTopic {
			c.Topic, c.Topics = r.UID, without(append(c.Topics, c.Topic), r.UID)
		}
	}
	c.Counted = c.ID
	return c, nil
}

// vouch takes the topic out of those that stand beside a pinned key. Where there
// are several, or the certificate names one, it is to name one of them.
func (c *Client) vouch(topics []string, cert *x509.Certificate) error {
	if len(topics) == 0 {
		return nil
	}
	named, _ := Topics(cert)
	switch {
	case slices.Contains(topics, named):
		c.Topic = named
	case named == "" && len(topics) == 1:
		c.Topic = topics[0]
	default:
		return fmt.Errorf("its topic %q is not one of those that stand beside its key", Clip(named))
	}
	c.Topics = without(topics, c.Topic)
	return nil
}

func without(topics []string, topic string) []string {
	return slices.DeleteFunc(slices.Clone(topics), func(t string) bool { return t == topic || t == "" })
}

// subscriber is what an address is counted as: whoever has one IPv6 address has
// the whole /64.
func subscriber(addr netip.Addr) string {
	if addr.Is4() {
		return addr.String()
	}
	return netip.PrefixFrom(addr, 64).Masked().String()
}

// search finds the strongest admission, and otherwise the reason why a
// certificate has none.
func (m *Matcher) search(chain []*x509.Certificate, addr netip.Addr, now time.Time) (f found, reason error) {
	if len(chain) > 0 {
		leaf := chain[0]
		if r, ok := m.certificates[sha256.Sum256(leaf.Raw)]; ok {
			f.admit(byPin, r)
		}
		if r, ok := m.keys[sha256.Sum256(leaf.RawSubjectPublicKeyInfo)]; ok {
			f.admit(byPin, r)
		}
		if f.rank == byNothing {
			reason = m.ask(chain, now, &f)
		}
	}
	if f.rank == byNothing {
		for _, r := range m.networks {
			if r.CIDR.Contains(addr) {
				f.admit(byNetwork, r)
			}
		}
	}
	return f, reason
}

// ask has the authorities judge. A signature is verified only where the
// certificate would then be admitted.
func (m *Matcher) ask(chain []*x509.Certificate, now time.Time, f *found) (reason error) {
	uid, topics := uid(chain[0]), sync.OnceValue(func() []string { return listedTopics(chain[0]) })
	for _, a := range m.authorities {
		verified := false
		for _, r := range a.rules {
			rank := r.admits(uid, topics)
			if rank == byNothing {
				continue
			}
			if !verified {
				if err := a.verify(chain, now); err != nil {
					reason = fmt.Errorf("it is not pinned, and not good enough for the ca of app %s (%s)", r.App,
						Clip(err.Error()))
					break
				}
				verified = true
			}
			f.admit(rank, r)
		}
	}
	if f.rank == byNothing && reason == nil {
		reason = fmt.Errorf("it is not pinned, and no ca is trusted for its uid %q", Clip(uid))
	}
	return reason
}

// admits says how strongly a rule for a CA admits its certificate.
func (r Rule) admits(uid string, topics func() []string) rank {
	switch {
	case r.Any || r.UID == uid:
		return byAuthority
	case slices.Contains(topics(), r.UID):
		return byTopic
	}
	return byNothing
}

func (a authority) verify(chain []*x509.Certificate, now time.Time) error {
	sum := digest(chain)
	if a.verdicts.good(sum, now) {
		return nil
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	verified, err := chain[0].Verify(x509.VerifyOptions{
		Roots:         a.pool,
		Intermediates: between,
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, // or none named
	})
	if err == nil {
		a.verdicts.remember(sum, verified[0])
	}
	return err
}

// shares reports whether one of the keys is trusted in both.
func (a authority) shares(others []*x509.Certificate) bool {
	return slices.ContainsFunc(a.certificates, func(c *x509.Certificate) bool {
		return slices.ContainsFunc(others, func(o *x509.Certificate) bool {
			return slices.Equal(c.RawSubjectPublicKeyInfo, o.RawSubjectPublicKeyInfo)
		})
	})
}

// holds reports whether a has all of others.
func (a authority) holds(others []*x509.Certificate) bool {
	for _, o := range others {
		if !slices.ContainsFunc(a.certificates, o.Equal) {
			return false
		}
	}
	return true
}

func refusal(chain []*x509.Certificate, addr netip.Addr, reason error) error {
	if len(chain) == 0 {
		return fmt.Errorf("%s presented no certificate and is in no app's cidr: to admit it, add {cidr: %s} to the "+
			"clients of its app", addr, netip.PrefixFrom(addr, addr.BitLen()))
	}
	fingerprint := Fingerprint(sha256.Sum256(chain[0].Raw))
	return fmt.Errorf("%s presented the certificate of %q, but %w: to admit it, add {sha256: \"%s\"} to the "+
		"clients of its app", addr, Subject(chain[0]), reason, fingerprint)
}

// ambiguous is for what New cannot foresee, such as a certificate pinned by one app
// and its key by another.
func ambiguous(chain []*x509.Certificate, addr netip.Addr, f found) error {
	who := errors.New(addr.String())
	if len(chain) > 0 {
		who = fmt.Errorf("%s with the certificate of %q, sha256 %s,", addr, Subject(chain[0]),
			Fingerprint(sha256.Sum256(chain[0].Raw)))
	}
	return fmt.Errorf("%w is admitted by apps %s and %s alike: change the clients of one of them", who, f.rule.App,
		f.rival)
}
