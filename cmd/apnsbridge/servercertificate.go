package main

import (
	"crypto/tls"
	"fmt"
	"os"
	"time"

	"apnsbridge/cmd/apnsbridge/config"
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

// providerFiles are what providers are shown.
func providerFiles(c *config.Config) certificateFiles {
	return certificateFiles{"tls", c.Path(c.TLS.Certificate), c.Path(c.TLS.Key)}
}

// adminFiles are what operators are shown, if they are shown anything.
func adminFiles(c *config.Config) certificateFiles {
	return certificateFiles{"admin", c.Path(c.Admin.Certificate), c.Path(c.Admin.Key)}
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
	pair, err := tls.LoadX509KeyPair(f.certificate, f.key)
	switch {
	case err != nil:
		err = fmt.Errorf("%[1]s.certificate %[2]s with %[1]s.key %[3]s: %[4]w", f.section, f.certificate, f.key, err)
	case time.Now().After(pair.Leaf.NotAfter):
		err = fmt.Errorf("%s.certificate %s: it expired on %s: get a new one, whoever connects refuses it", f.section, f.certificate, pair.Leaf.NotAfter.Format(time.DateOnly))
	}
	return serverCertificate{pair, stamp}, err
}

// renewCertificates takes the server certificates and their keys from their files
// if these have changed and belong together.
func (s *service) renewCertificates() {
	next := *s.current.Load()
	renewed := s.renew(providerFiles(next.config), &next.certificate)
	if next.config.Admin.Certificate != "" {
		renewed = s.renew(adminFiles(next.config), &next.admin.certificate) || renewed
	}
	if renewed {
		s.current.Store(&next)
	}
}

// renew reads files that have changed. Those that are of no use are named in the
// log once, for they may be half of a change.
func (s *service) renew(files certificateFiles, certificate *serverCertificate) (renewed bool) {
	if stamp := files.stamp(); stamp == certificate.stamp || stamp == s.spurned[files.section] {
		return false
	}
	read, err := files.read()
	s.reloads.renewed(files.section, err)
	if err != nil {
		s.spurned[files.section] = read.stamp
		s.log.Warn().Err(err).Msg("the server certificate's files have changed and are of no use: the old certificate stays")
		return false
	}
	*certificate = read
	s.log.Info().Str("certificate", files.certificate).Time("expires", read.Leaf.NotAfter).Msg("the server certificate is renewed")
	return true
}
