package config

import (
	"regexp"
	"slices"
	"strings"
)

// IsKeyText reports whether a value is the text of a key or a certificate, and not
// the name of its file.
func IsKeyText(value string) bool {
	return strings.Contains(value, "-----BEGIN") || strings.ContainsAny(value, "\r\n") ||
		strings.HasPrefix(value, "MI") && len(value) > 100 // its Base64 alone
}

// userinfo is what stands before the host of a URL, however broken the rest is.
var userinfo = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*://)?.*@`)

// shown is a value as an error may show it: clipped, and without what may be
// secret. Of an address the user and the password are left out.
func shown(value string) string {
	const most = 100
	if IsKeyText(value) {
		return "(the text of a key)"
	}
	value = userinfo.ReplaceAllString(value, "${1}xxx@")
	if len(value) > most {
		value = strings.ToValidUTF8(value[:most], "") + "…"
	}
	return value
}

// secret are the settings that are secret, or may have a password within.
var secret = []string{"token", "password", "proxy", "endpoint", "key"}

// noteSecret notes that the file itself has a secret at path: not the name of a
// variable, nor that of a file.
func (s *source) noteSecret(path, value string) {
	name := path[strings.LastIndexByte(path, '.')+1:]
	if !slices.Contains(secret, name) || variable.MatchString(value) || value == "" {
		return
	}
	switch name {
	case "key":
		if !IsKeyText(value) {
			return
		}
	case "proxy", "endpoint":
		if !userinfo.MatchString(value) {
			return
		}
	}
	s.secrets = append(s.secrets, path)
}

// Secrets are the settings whose values are secret and stand in the file itself.
func (c *Config) Secrets() []string { return c.secrets }
