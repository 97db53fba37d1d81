package config

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"unicode"
)

// The settings that take one of a few words.
var (
	environments    = []string{"production", "sandbox"}
	appEnvironments = []string{"production", "sandbox", "by-listener"}
	tlsVersions     = []string{"1.0", "1.1", "1.2", "1.3"}
	spoolModes      = []string{"off", "overflow", "always"}
	badTokenWays    = []string{"report", "continue"}
	pushTypes       = []string{"auto", "alert", "background", "voip", "complication", "fileprovider", "mdm",
		"location", "liveactivity", "pushtotalk", "widgets", "controls"}
)

func (c *Config) validate(s *source) {
	c.Gateway.validate(s, "gateway.listen")
	c.Feedback.validate(s, "feedback.listen")
	c.Admin.validate(s)
	c.checkOverlap(s)
	c.TLS.validate(s)
	oneOf(s, "tls.min_version", c.TLS.MinVersion, tlsVersions)
	require(s, "store.path", c.Store.Path, "name a directory")
	oneOf(s, "spool.mode", c.Spool.Mode, spoolModes)
	c.validateFleet(s)
	if len(c.Apps) == 0 {
		s.lacks("apps", "no app is configured: add one under apps")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Apps)) {
		checkName(s, name)
		app := c.Apps[name]
		app.validate(s, "apps."+name)
		c.Apps[name] = app
	}
	c.Limits.checkUpper(s)
	c.Limits.checkLower(s)
	refuseOver(s, "spool.max_bytes", int64(c.Spool.MaxBytes), mostSpool, Size(mostSpool).String())
}

func (t TLS) validate(s *source) {
	const certificate = "name the PEM file that providers are shown; `apnsbridge certs` makes one for trying out"
	const key = "name the PEM file with the certificate's key"
	if _, named := s.places["tls.certificates"]; !named {
		require(s, "tls.certificate", t.Certificate, certificate)
		require(s, "tls.key", t.Key, key)
		return
	}
	if t.Certificate != "" || t.Key != "" {
		s.reject("tls.certificates", "there are certificate or key, and certificates: put all into the list")
	}
	if len(t.Certificates) == 0 {
		s.reject("tls.certificates", "the list is empty: name a certificate and its key")
	}
	for i, pair := range t.Certificates {
		path := fmt.Sprintf("tls.certificates[%d]", i)
		require(s, path+".certificate", pair.Certificate, certificate)
		require(s, path+".key", pair.Key, key)
	}
}

func (p Port) validate(s *source, path string) {
	if len(p.Listen) == 0 {
		s.reject(path, "the list is empty: name an address like :2195")
	}
	for i, a := range p.Listen {
		at := path
		if _, list := s.places[path+"[0]"]; list {
			at = fmt.Sprintf("%s[%d]", path, i)
		}
		if a.Address == "" {
			s.lacks(at+".address", "%q is no address: write HOST:PORT or :PORT", a.Address)
		} else {
			checkAddress(s, at, a.Address)
		}
		if a.Environment != "" {
			oneOf(s, at+".environment", a.Environment, environments)
		}
		if a.ProxyProtocol != nil && len(a.ProxyProtocol) == 0 {
			s.lacks(at+".proxy_protocol", "the list is empty: name the addresses of the programs in front, or take "+
				"proxy_protocol out")
		}
	}
}

// validate also sets the defaults of an app.
func (a *App) validate(s *source, path string) {
	require(s, path+".topic", a.Topic, "name the app's bundle identifier, or "+TopicFromCertificate)
	checkTopic(s, path+".topic", a.Topic)
	defaultTo(&a.Environment, "production")
	oneOf(s, path+".environment", a.Environment, appEnvironments)
	defaultTo(&a.PushType, "auto")
	oneOf(s, path+".push_type", a.PushType, pushTypes)
	if a.OnBadToken != "" { // the default depends on the topic
		oneOf(s, path+".on_bad_token", a.OnBadToken, badTokenWays)
	}
	a.Endpoint.validate(s, path+".endpoint", a.Environment)
	if a.Proxy != "" {
		checkURL(s, path+".proxy", a.Proxy, "http", "https")
	}
	if topic := a.Topic; a.dir != "" && a.Credential.none() {
		s.lacks(path+".credential", "the app has no credential for APNs: put %s.p12 or %[1]s.pem into %s, or add "+
			"token or certificate under credential", Clip(topic), a.dir)
	} else {
		a.Credential.validate(s, path+".credential", a.Environment)
	}
	if len(a.Clients) == 0 {
		s.lacks(path+".clients", "nobody may speak for this app: add a certificate's sha256, a ca or a cidr under clients")
	}
	for i, client := range a.Clients {
		client.validate(s, fmt.Sprintf("%s.clients[%d]", path, i), a.Topic)
	}
}

// checkName checks that an app's name, which is in every log line and table, fits on a line.
func checkName(s *source, name string) {
	const most = 100
	if name == "" {
		s.reject("apps", "an app has no name: write one before its colon")
	}
	if len(name) > most || strings.ContainsFunc(name, unicode.IsControl) {
		s.reject("apps."+name, "an app's name has at most %d bytes, and no line breaks: give it a short one", most)
	}
}

func require(s *source, path, value, remedy string) {
	if value == "" {
		s.lacks(path, "%s is missing: %s", path, remedy)
	}
}

func oneOf(s *source, path, value string, allowed []string) {
	if slices.Contains(allowed, value) {
		return
	}
	if near := cmp.Or(begun(value, allowed), nearest(value, slices.Clone(allowed))); near != "" {
		s.reject(path, "%q is not possible here: did you mean %s? choose %s", Clip(value), near, strings.Join(allowed, ", "))
		return
	}
	s.reject(path, "%q is not possible here: choose %s", Clip(value), strings.Join(allowed, ", "))
}

func defaultTo(value *string, def string) {
	if *value == "" {
		*value = def
	}
}

// checkTopic refuses what cannot be a topic.
func checkTopic(s *source, path, topic string) {
	if why := NoTopic(topic); why != "" {
		s.reject(path, "%s", why)
	}
}

// NoTopic returns what is wrong with a topic, "" if nothing is.
func NoTopic(topic string) string {
	const remedy = "write the bundle identifier, like com.example.mail"
	switch alike := strings.NewReplacer("_", "-", " ", "-").Replace(strings.ToLower(topic)); {
	case topic == TopicFromCertificate || topic == "":
		return ""
	case alike == TopicFromCertificate:
		return fmt.Sprintf("%q is no topic: did you mean %s?", topic, TopicFromCertificate)
	case strings.Contains(topic, "*"):
		return fmt.Sprintf("%q is a pattern for several apps: name the whole bundle identifier of one", Clip(topic))
	case len(topic) > 255:
		return fmt.Sprintf("%q is longer than any topic: %s", Clip(topic), remedy)
	case IsKeyText(topic) || strings.ContainsFunc(topic, foreignToTopics):
		return fmt.Sprintf("%q has characters that no topic has: %s", Clip(topic), remedy)
	case strings.HasPrefix(topic, ".") || strings.HasSuffix(topic, ".") || strings.Contains(topic, ".."):
		return fmt.Sprintf("%q has a dot too many: %s", Clip(topic), remedy)
	}
	return ""
}

// foreignToTopics reports whether r cannot be in a topic. Apple allows letters, digits, dots and
// dashes; $ and { are left over from a variable.
func foreignToTopics(r rune) bool {
	return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(".-_", r)
}

// checkOverlap refuses two ports with the same address. Whether an address can be used besides
// a wildcard is for the system to decide.
func (c *Config) checkOverlap(s *source) {
	type listener struct{ path, host, port string }
	var all []listener
	add := func(path, address string) {
		host, port, err := net.SplitHostPort(address)
		if err != nil || port == "0" {
			return
		}
		if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
			host = ""
		}
		for _, other := range all {
			if port == other.port && host == other.host {
				s.reject(path, "%s has port %s, as %s: give each a port of its own", path, port, other.path)
				return
			}
		}
		all = append(all, listener{path, host, port})
	}
	for _, port := range []struct {
		path string
		Addresses
	}{{"gateway.listen", c.Gateway.Listen}, {"feedback.listen", c.Feedback.Listen}} {
		for i, a := range port.Addresses {
			path := port.path
			if len(port.Addresses) > 1 {
				path = fmt.Sprintf("%s[%d]", path, i)
			}
			add(path, a.Address)
		}
	}
	if c.Admin.Listen != "" {
		add("admin.listen", c.Admin.Listen)
	}
}
