package config

import "fmt"

// Credentials are what an app shows to APNs: one credential for both environments, or one
// for each.
type Credentials struct {
	Credential
	Production *Credential `yaml:"production"`
	Sandbox    *Credential `yaml:"sandbox"`
}

// Credential has exactly one of its fields set.
type Credential struct {
	Token       []Token      `yaml:"token"` // if several, each names its topics, and one may be for all others
	Certificate *Certificate `yaml:"certificate"`
}

// Token is a provider token's signing key.
type Token struct {
	Key    string  `yaml:"key" is:"key"` // p8 file, or its text
	KeyID  string  `yaml:"key_id"`
	TeamID string  `yaml:"team_id"`
	Topics Strings `yaml:"topics"` // that the key is for; empty: all
}

// Certificate is a provider certificate with its key.
type Certificate struct {
	File     string `yaml:"file" is:"file"` // p12 or PEM
	Password string `yaml:"password" is:"secret"`
}

// mostTokens bounds the keys of an app in an environment, because each has its own
// connections.
const mostTokens = 100

func (c Credential) none() bool { return len(c.Token) == 0 && c.Certificate == nil }

// none reports whether there is no credential for any environment.
func (c Credentials) none() bool { return c.Credential.none() && !c.Split() }

// Split reports whether each environment has its own credential.
func (c Credentials) Split() bool { return c.Production != nil || c.Sandbox != nil }

// In returns the credential for an environment, and its setting relative to the app's
// section.
func (c Credentials) In(environment string) (shown Credential, setting string) {
	if !c.Split() {
		return c.Credential, "credential"
	}
	named := map[string]*Credential{"production": c.Production, "sandbox": c.Sandbox}[environment]
	if named == nil {
		named = new(Credential)
	}
	return *named, "credential." + environment
}

// Files returns the files of the credentials. Keys that are given as text have
// none.
func (c Credentials) Files() (files []string) {
	for _, one := range []*Credential{&c.Credential, c.Production, c.Sandbox} {
		if one == nil {
			continue
		}
		for _, token := range one.Token {
			if !IsKeyText(token.Key) {
				files = append(files, token.Key)
			}
		}
		if one.Certificate != nil {
			files = append(files, one.Certificate.File)
		}
	}
	return files
}

func (c Credentials) validate(s *source, path, environment string) {
	if !c.Split() {
		c.Credential.validate(s, path)
		return
	}
	if !c.Credential.none() {
		s.reject(path, "there are a credential for both environments and one of an environment's own: put all under "+
			"production and sandbox")
	}
	for _, name := range environments {
		if shown, _ := c.In(name); !shown.none() {
			shown.validate(s, path+"."+name)
		} else if environment == name || environment == "by-listener" {
			s.lacks(path+"."+name, "the app's environment is %s, and there is no credential for %s: add one under "+
				"credential.%[2]s", environment, name)
		}
	}
}

func (c Credential) validate(s *source, path string) {
	switch {
	case c.none():
		s.lacks(path, "the app has no credential for APNs: add token or certificate under credential")
	case c.Token != nil && c.Certificate != nil:
		s.reject(path, "the app has two credentials: keep token or certificate")
	case c.Token != nil:
		validateTokens(s, path+".token", c.Token)
	default:
		require(s, path+".certificate.file", c.Certificate.File, "name a .p12 or .pem file")
	}
}

// validateTokens also checks that it is clear which key is for which topic.
func validateTokens(s *source, path string, tokens []Token) {
	if len(tokens) > mostTokens {
		s.reject(path, "there are %d keys, and an app can have %d: give the topics apps of their own", len(tokens),
			mostTokens)
		return
	}
	others, taken := false, make(map[string]bool)
	for i, token := range tokens {
		at := path
		if _, list := s.places[path+"[0]"]; list {
			at = fmt.Sprintf("%s[%d]", path, i)
		}
		require(s, at+".key", token.Key, "name the .p8 file from Apple's developer site")
		require(s, at+".key_id", token.KeyID, "it is the ten characters in the .p8 file's name")
		require(s, at+".team_id", token.TeamID, "it is the ten characters on Apple's membership page")
		for _, id := range [][2]string{{"key_id", token.KeyID}, {"team_id", token.TeamID}} {
			if IsKeyText(id[1]) { // it would be shown to APNs, and to everybody else
				s.reject(at+"."+id[0], "%s is the text of a key, and has to be its name of ten characters: the text, or "+
					"its file's name, belongs to key", id[0])
			}
		}
		if _, named := s.places[at+".topics"]; named && len(token.Topics) == 0 {
			s.reject(at+".topics", "the list is empty: name the topics that the key is for, or remove it")
		}
		if len(token.Topics) == 0 && others {
			s.reject(at, "two keys are for all topics: name under topics of each what it is for")
		}
		others = others || len(token.Topics) == 0
		for _, topic := range token.Topics {
			switch {
			case topic == "" || topic == TopicFromCertificate:
				s.reject(at+".topics", "%q is no topic: name bundle identifiers, like com.example.mail", topic)
			case taken[topic]:
				s.reject(at+".topics", "two keys are for %s: keep it at one of them", Clip(topic))
			}
			checkTopic(s, at+".topics", topic)
			taken[topic] = true
		}
	}
}
