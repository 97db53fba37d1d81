package config

import (
	"fmt"
	"net/netip"
)

// validate checks one way to be admitted to an app with the given topic.
func (c Client) validate(s *source, path, topic string) {
	c.rejectEmpty(s, path)
	named := 0
	for _, way := range []string{string(c.SHA256), string(c.SPKISHA256), c.CA, c.CIDR} {
		if way != "" {
			named++
		}
	}
	switch {
	case named == 0:
		s.lacks(path, "a client has none of sha256, spki_sha256, ca and cidr: say by which of them it is admitted")
	case named > 1:
		s.reject(path, "a client has %d of sha256, spki_sha256, ca and cidr: give each way to be admitted an "+
			"entry of its own", named)
	}
	if c.CIDR != "" {
		if _, err := netip.ParsePrefix(c.CIDR); err != nil {
			s.reject(path+".cidr", "%q is no network: write one like 10.1.0.0/16", Clip(c.CIDR))
		}
	}
	c.validateAuthority(s, path)
	c.validateTopics(s, path, topic)
}

// rejectEmpty refuses settings that are present but empty, because an unset variable must not
// admit more than the file means.
func (c Client) rejectEmpty(s *source, path string) {
	for _, way := range []struct{ name, value string }{
		{"sha256", string(c.SHA256)}, {"spki_sha256", string(c.SPKISHA256)}, {"ca", c.CA}, {"uid", c.UID},
		{"cidr", c.CIDR},
	} {
		if _, named := s.places[path+"."+way.name]; named && way.value == "" {
			s.lacks(path+"."+way.name, "%s is empty: give it a value or remove it", way.name)
		}
	}
	if _, named := s.places[path+".topics"]; named && len(c.Topics) == 0 {
		s.lacks(path+".topics", "the list is empty: name the topics that the key's owner may push to, or remove it")
	}
	for i, topic := range c.Topics {
		if topic == "" {
			s.reject(fmt.Sprintf("%s.topics[%d]", path, i), "a topic is empty: give it a value or remove it")
		}
	}
}

func (c Client) validateAuthority(s *source, path string) {
	switch {
	case c.UID != "" && c.CA == "" && c.SPKISHA256 == "":
		s.reject(path+".uid", "uid goes with ca or spki_sha256 only: a pin or a cidr already says who it is")
	case c.Any && c.CA == "":
		s.reject(path+".any", "any goes with ca only: it admits every certificate of the ca")
	case c.Any && c.UID != "":
		s.reject(path+".any", "there are uid and any: keep uid to admit one client, or any to admit every certificate "+
			"of the ca")
	case c.CA != "" && c.UID == "" && !c.Any:
		s.lacks(path+".uid", "a ca without uid admits every certificate of it: add the uid of the client's "+
			"certificate, or any: true if that is meant")
	}
}

// validateTopics checks that the topic of a pinned key is not left to its owner, who can write
// any topic into a certificate.
func (c Client) validateTopics(s *source, path, topic string) {
	switch {
	case len(c.Topics) > 0 && c.SPKISHA256 == "":
		s.reject(path+".topics", "topics goes with spki_sha256 only: elsewhere the certificate or the app says it")
	case c.SPKISHA256 == "":
	case len(c.Topics) > 0 && c.UID != "":
		s.reject(path+".topics", "there are uid and topics: keep one of them")
	case topic == TopicFromCertificate && len(c.Topics) == 0 && c.UID == "":
		s.lacks(path+".topics", "whoever has this key writes its certificates, and any topic into them: add topics "+
			"beside the pin, pin the certificate with sha256, or set the app's topic")
	}
}
