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

// serverCertificate is a certificate that clients are shown, with the state of the files
// that it was read from.
type serverCertificate struct {
	tls.Certificate
	stamp certificateStamp
}

// certificateStamp identifies a state of the two files.
type certificateStamp struct{ certificate, key fileStamp }

type fileStamp struct{ modified, size int64 }

// certificateFiles are the files of a certificate and its key, and the section that names them.
type certificateFiles struct{ section, certificate, key string }

// providerFiles returns the files of all certificates for providers; each is shown one of them.
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

// readProviderFiles reads all providerFiles. A certificate that cannot be used is left zero.
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

// serverCertificates returns all certificates that providers may be shown.
func (a *Assembly) serverCertificates() []serverCertificate {
	return append([]serverCertificate{a.certificate}, a.further...)
}

// certificateFor chooses the certificate that a client is shown, whatever name it asks for:
// an ECDSA certificate, which costs a thirtieth of RSA's time, if the client supports it;
// otherwise the first that it supports.
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

// adminFiles are the files of the certificate for operators, if there is one.
func adminFiles(c *config.Config) certificateFiles {
	return certificateFiles{"admin", c.Path(c.Admin.Certificate), c.Path(c.Admin.Key)}
}

// part is the section as the metrics have it: tls or admin.
func (f certificateFiles) part() string {
	part, _, _ := strings.Cut(f.section, ".")
	return part
}

// stamp looks at the files without reading them. The stamp of a missing file is
// zero.
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

// read takes the stamp before it reads, so that files that change meanwhile have another
// stamp afterwards.
func (f certificateFiles) read() (serverCertificate, error) {
	stamp := f.stamp()
	pair, err := smallfile.Pair(f.certificate, f.key)
	if err != nil {
		err = fmt.Errorf("%[1]s.certificate %[2]s with %[1]s.key %[3]s: %[4]w", f.section, f.certificate, f.key, err)
	}
	return serverCertificate{pair, stamp}, err
}

// expired returns the reason not to replace a certificate that is still good by c: that
// c has expired; nil if it has not.
func (c *serverCertificate) expired(now time.Time) error {
	if c.Leaf == nil || !now.After(c.Leaf.NotAfter) {
		return nil
	}
	return fmt.Errorf("it expired on %s: get a new one, whoever connects refuses it",
		c.Leaf.NotAfter.UTC().Format(time.DateOnly))
}

// expiredInstead returns the reason not to replace the server certificates of before: that
// one has expired where the one before has not; nil if there is no such reason.
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

// renewCertificates reads the server certificates and their keys again if the files have
// changed and belong together.
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

// renew reads files that have changed. If they cannot be used, the log says so only once,
// because the change may be half done.
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
