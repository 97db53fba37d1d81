package main

import (
	"crypto/tls"
	"fmt"
	"os"
	"time"

	"apnsbridge/cmd/apnsbridge/config"
)

// serverCertificate is what providers are shown, and the state of the files it
// was read from.
type serverCertificate struct {
	tls.Certificate
	stamp certificateStamp
}

// certificateStamp tells one state of the two files from another.
type certificateStamp struct{ certificate, key fileStamp }

type fileStamp struct{ modified, size int64 }

// stampCertificate looks at the files without reading them. One that is not
// there has no stamp.
func stampCertificate(c *config.Config) certificateStamp {
	return certificateStamp{stampFile(c.Path(c.TLS.Certificate)), stampFile(c.Path(c.TLS.Key))}
}

func stampFile(path string) fileStamp {
	info, err := os.Stat(path)
	if err != nil {
		return fileStamp{}
	}
	return fileStamp{info.ModTime().UnixNano(), info.Size()}
}

// readServerCertificate takes the stamp first: files that change while they are
// read have another one afterwards.
func readServerCertificate(c *config.Config) (serverCertificate, error) {
	stamp := stampCertificate(c)
	cert, key := c.Path(c.TLS.Certificate), c.Path(c.TLS.Key)
	pair, err := tls.LoadX509KeyPair(cert, key)
	switch {
	case err != nil:
		err = fmt.Errorf("tls.certificate %s with tls.key %s: %w", cert, key, err)
	case time.Now().After(pair.Leaf.NotAfter):
		err = fmt.Errorf("tls.certificate %s: it expired on %s: get a new one, providers refuse it", cert, pair.Leaf.NotAfter.Format(time.DateOnly))
	}
	return serverCertificate{pair, stamp}, err
}

// renewCertificate takes the server certificate and its key from their files if
// these have changed and belong together. Files that are of no use are named in
// the log once, for they may be half of a change.
func (s *service) renewCertificate() {
	current := s.current.Load()
	if stamp := stampCertificate(current.config); stamp == current.certificate.stamp || stamp == s.spurned {
		return
	}
	certificate, err := readServerCertificate(current.config)
	if err != nil {
		s.spurned = certificate.stamp
		s.log.Warn().Err(err).Msg("the server certificate's files have changed and are of no use: the old certificate stays")
		return
	}
	next := *current
	next.certificate = certificate
	s.current.Store(&next)
	s.log.Info().Time("expires", certificate.Leaf.NotAfter).Msg("the server certificate is renewed")
}
