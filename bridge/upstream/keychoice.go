package upstream

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"
)

// identity is the certificate that belongs to one of the keys. Of several it
// takes the one that fits, and of several of these the one that lasts longest, of
// those that are good at now if any is.
func (f *keyFile) identity(now time.Time, fits func(*x509.Certificate) bool) (*tls.Certificate, error) {
	switch {
	case len(f.keys) == 0:
		return nil, fmt.Errorf("the file has the certificate %s without its private key, as a .cer of Apple's "+
			"developer site: %s",
			subjectOf(f.certificates[0]), cerRemedy)
	case len(f.certificates) == 0:
		return nil, errors.New("the file has a private key without its certificate: put both into one file, " +
			"or give a .p8 key under credential.token")
	}
	var all []tls.Certificate
	for _, leaf := range f.certificates {
		for _, key := range f.keys {
			if keyFits(key, leaf) {
				all = append(all, tls.Certificate{Certificate: f.chain(leaf), PrivateKey: key, Leaf: leaf})
				break
			}
		}
	}
	switch len(all) {
	case 0:
		return nil, fmt.Errorf("certificate (%s) and private key do not belong together: export both in one file",
			subjectOf(f.certificates[0]))
	case 1:
		return &all[0], nil
	}
	var best *tls.Certificate
	for i := range all {
		if fits(all[i].Leaf) && (best == nil || better(all[i].Leaf, best.Leaf, now)) {
			best = &all[i]
		}
	}
	if best == nil {
		return nil, fmt.Errorf("the file has %d certificates with keys, and none is a push certificate for the "+
			"app's topic: %s: "+
			"export the right one alone", len(all), subjects(all))
	}
	return best, nil
}

// better reports whether a serves longer from now on than b.
func better(a, b *x509.Certificate, now time.Time) bool {
	if early := now.Before(a.NotBefore); early != now.Before(b.NotBefore) {
		return !early
	}
	return a.NotAfter.After(b.NotAfter)
}

// chain is leaf and those of the other certificates that belong to no key: who
// has signed it.
func (f *keyFile) chain(leaf *x509.Certificate) [][]byte {
	chain := [][]byte{leaf.Raw}
	for _, c := range f.certificates {
		own := false
		for _, key := range f.keys {
			own = own || keyFits(key, c)
		}
		if !own {
			chain = append(chain, c.Raw)
		}
	}
	return chain
}

func keyFits(key crypto.Signer, leaf *x509.Certificate) bool {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(leaf.PublicKey)
}

// subjects names what there is to choose from, as far as a sentence can.
func subjects(all []tls.Certificate) string {
	const most = 8
	var names []string
	for _, c := range all[:min(len(all), most)] {
		names = append(names, subjectOf(c.Leaf))
	}
	if len(all) > most {
		names = append(names, "…")
	}
	return strings.Join(names, ", ")
}

// subjectOf names a certificate, in quotes.
func subjectOf(c *x509.Certificate) string {
	const most = 80
	name := c.Subject.CommonName
	if name == "" {
		name = topicOf(c.Subject)
	}
	return fmt.Sprintf("%.*q", most, name)
}
