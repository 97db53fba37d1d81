package server

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"apnsbridge/cmd/apnsbridge/config"
	"apnsbridge/cmd/apnsbridge/smallfile"
)

// serverCertificate is what those who connect are shown, and the state of the
// files it was read from.
type serverCertificate struct {
	tls.Certificate
	stamp certificateStamp
}

// certificateStamp tells one state of the two files from another.
type certificateStamp struct{ certificate, key fileStamp }

type fileStamp struct{ modified, size int64 }

// certificateFiles are a certificate and its key, of one section.
type certificateFiles struct{ section, certificate, key string }

// providerFiles are what providers are shown, one of the pairs to each.
func providerFiles(c *config.Config) (all []certificateFiles) {
	for i, pair := range c.TLS.Pairs() {
		section := "tls"
		if len(c.TLS.Certificates) > 0 {
			section = fmt.Sprintf("tls.certificates[%d]", i)
		}
		all = append(all, certificateFiles{section, c.Path(pair.Certificate), c.Path(pair.Key)})
	}
	return all
}

// readProviderFiles reads them all. Where one is of no use it has the zero value.
func (a *Assembly) readProviderFiles() {
	for i, files := range providerFiles(a.config) {
		read, err := files.read()
		if err != nil {
			a.problems = append(a.problems, err)
		}
		if i == 0 {
			a.certificate = read
		} else {
			a.further = append(a.further, read)
		}
	}
}

// serverCertificates are all that providers may be shown.
func (a *Assembly) serverCertificates() []serverCertificate {
	return append([]serverCertificate{a.certificate}, a.further...)
}

// certificateFor chooses what a client is shown: an ECDSA certificate, which costs
// a thirtieth of RSA's time, if the client takes it, or else the first that it
// takes, whatever name it asks for.
func (a *Assembly) certificateFor(hello *tls.ClientHelloInfo) *tls.Certificate {
	first := &a.certificate.Certificate
	if len(a.further) == 0 {
		return first
	}
	asks := *hello
	asks.ServerName = ""
	var takes *tls.Certificate
	for i := range len(a.further) + 1 {
		c := first
		if i > 0 {
			c = &a.further[i-1].Certificate
		}
		if asks.SupportsCertificate(c) != nil {
			continue
		}
		if c.Leaf.PublicKeyAlgorithm == x509.ECDSA {
			return c
		}
		if takes == nil {
			takes = c
		}
	}
	if takes == nil {
		return first
	}
	return takes
}

// adminFiles are what operators are shown, if they are shown anything.
func adminFiles(c *config.Config) certificateFiles {
	return certificateFiles{"admin", c.Path(c.Admin.Certificate), c.Path(c.Admin.Key)}
}

// part is the section for the metrics: tls or admin.
func (f certificateFiles) part() string {
	part, _, _ := strings.Cut(f.section, ".")
	return part
}

// stamp looks at the files without reading them. One that is not there has no
// stamp.
func (f certificateFiles) stamp() certificateStamp {
	return certificateStamp{stampFile(f.certificate), stampFile(f.key)}
}

func stampFile(path string) fileStamp {
	info, err := os.Stat(path)
	if err != nil {
		return fileStamp{}
	}
	return fileStamp{info.ModTime().UnixNano(), info.Size()}
}

// read takes the stamp first: files that change while they are read have another
// one afterwards.
func (f certificateFiles) read() (serverCertificate, error) {
	stamp := f.stamp()
	pair, err := smallfile.Pair(f.certificate, f.key)
	if err != nil {
		err = fmt.Errorf("%[1]s.certificate %[2]s with %[1]s.key %[3]s: %[4]w", f.section, f.certificate, f.key, err)
	}
	return serverCertificate{pair, stamp}, err
}

// expired is the reason not to take a certificate in place of another that
// is good still.
func (c *serverCertificate) expired(now time.Time) error {
	if c.Leaf == nil || !now.After(c.Leaf.NotAfter) {
		return nil
	}
	return fmt.Errorf("it expired on %s: get a new one, whoever connects refuses it",
		c.Leaf.NotAfter.UTC().Format(time.DateOnly))
}

// expiredInstead is the reason not to take the server certificates in place of
// those of before, nil if there is none: one has expired, and was good before.
func (a *Assembly) expiredInstead(before *Assembly) error {
	was, now := before.serverCertificates(), a.now()
	for i, c := range a.serverCertificates() {
		if expired := c.expired(now); expired != nil && (i >= len(was) || was[i].expired(now) == nil) {
			files := providerFiles(a.config)[i]
			return fmt.Errorf("%s.certificate %s: %w", files.section, files.certificate, expired)
		}
	}
	return nil
}

// renewCertificates takes the server certificates and their keys from their files
// if these have changed and belong together.
func (s *Service) renewCertificates() {
	next := *s.current.Load()
	next.further = slices.Clone(next.further)
	renewed := false
	for i, files := range providerFiles(next.config) {
		certificate := &next.certificate
		if i > 0 {
			certificate = &next.further[i-1]
		}
		renewed = s.renew(files, certificate) || renewed
	}
	if next.config.Admin.Certificate != "" {
		renewed = s.renew(adminFiles(next.config), &next.admin.certificate) || renewed
	}
	if renewed {
		s.current.Store(&next)
	}
}

// renew reads files that have changed. Those that are of no use are named in the
// log once, for they may be half of a change.
func (s *Service) renew(files certificateFiles, certificate *serverCertificate) (renewed bool) {
	if stamp := files.stamp(); stamp == certificate.stamp || stamp == s.spurned[files.section] {
		return false
	}
	read, err := files.read()
	if expired := read.expired(s.current.Load().now()); err == nil && expired != nil {
		err = fmt.Errorf("%s.certificate %s: %w", files.section, files.certificate, expired)
	}
	s.reloads.renewed(files.part(), err)
	if err != nil {
		s.spurned[files.section] = read.stamp
		s.log.Warn().Err(err).Msg("the server certificate's files have changed and cannot be used: the old certificate stays")
		return false
	}
	*certificate = read
	s.log.Info().Str("certificate", files.certificate).Time("expires",
		read.Leaf.NotAfter).Msg("the server certificate is renewed")
	return true
}
