package config

import "net"

// Admin is the port for operators. An address that other machines can reach needs a token
// or a client_ca.
type Admin struct {
	Listen      string `yaml:"listen"`                // empty: none
	Token       string `yaml:"token" is:"secret"`     // that a request must have
	TokenFile   string `yaml:"token_file" is:"file"`  // the same, in a file of its own
	Certificate string `yaml:"certificate" is:"file"` // PEM file; empty: no TLS
	Key         string `yaml:"key" is:"file"`         // PEM file
	ClientCA    string `yaml:"client_ca" is:"file"`   // PEM file: clients must have a certificate of it
}

// OnLoopback reports whether only this machine can reach the port.
func (a Admin) OnLoopback() bool {
	host, _, _ := net.SplitHostPort(a.Listen)
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

func (a Admin) validate(s *source) {
	if a.Listen == "" {
		return
	}
	checkAddress(s, "admin.listen", a.Listen)
	// A guard that is empty because its variable is not set must not silently leave the
	// port open.
	for _, guard := range []struct{ path, value string }{{"admin.token", a.Token}, {"admin.token_file",
		a.TokenFile}, {"admin.client_ca", a.ClientCA}} {
		if _, named := s.places[guard.path]; named && guard.value == "" {
			s.reject(guard.path, "%s is empty: give it a value or remove it", guard.path)
		}
	}
	if a.Token != "" && a.TokenFile != "" {
		s.reject("admin.token_file", "there are two tokens: keep token or token_file")
	}
	if a.Certificate != "" || a.Key != "" || a.ClientCA != "" {
		require(s, "admin.certificate", a.Certificate, "name the PEM file that operators are shown")
		require(s, "admin.key", a.Key, "name the PEM file with the certificate's key")
	}
	if a.Token == "" && a.TokenFile == "" && a.ClientCA == "" && !a.OnLoopback() {
		s.reject("admin.listen", "others than this machine can reach %q: keep to 127.0.0.1:9195, or say under "+
			"admin who may ask, with a token, or with certificate, key and client_ca", Clip(a.Listen))
	}
}
