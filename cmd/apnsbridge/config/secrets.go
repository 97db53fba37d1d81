package config

import (
	"fmt"
	"regexp"
	"strings"
)

// IsKeyText reports whether a value is the text of a key or a certificate rather than the
// name of its file: PEM, or DER or PEM in base64, as in environment variables.
func IsKeyText(value string) bool {
	return strings.Contains(value, "-----BEGIN") || strings.ContainsAny(value, "\r\n") ||
		len(value) > 100 && (strings.HasPrefix(value, "MI") || strings.HasPrefix(value, beginInBase64))
}

// beginInBase64 is the beginning of "-----BEGIN " in base64.
const beginInBase64 = "LS0tLS1CRUdJTi"

// userinfo matches what is before the host of a URL, however malformed the rest is.
var userinfo = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*://)?.*@`)

// query matches what is after the path of a URL, which may have a token in it.
var query = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*://[^?#]*[?#]).+`)

// Clip shortens a value from the file for a message, and leaves out what may be secret: the
// text of a key, and the user, the password and the query of a URL.
func Clip(value string) string {
	const most, readable = 60, 8 << 10
	if IsKeyText(value) {
		if strings.Contains(value, "-----BEGIN") || len(value) > 100 {
			return "(the text of a key)"
		}
		return "(several lines)"
	}
	if len(value) > readable { // too long to search for secrets
		return fmt.Sprintf("(a text of %d bytes)", len(value))
	}
	value = query.ReplaceAllString(userinfo.ReplaceAllString(value, "${1}xxx@"), "${1}xxx")
	if len(value) > most {
		value = strings.ToValidUTF8(value[:most], "") + "…"
	}
	return value
}

// clipPath is Clip for a file name, whose end matters most.
func clipPath(path string) string {
	const most = 300
	if IsKeyText(path) {
		return Clip(path)
	}
	parts := strings.Split(path, "/")
	for i, part := range parts {
		parts[i] = Clip(part)
	}
	path = strings.Join(parts, "/")
	if from := len(path) - most; from > 0 {
		path = "…" + strings.ToValidUTF8(path[from:], "")
	}
	return path
}

// A Secret is a setting whose value is secret and is in the file itself.
type Secret struct{ Setting, File string }

// Secrets returns the secrets in all files.
func (c *Config) Secrets() []Secret { return c.secrets }

// noteSecret notes that the current file has a secret at path, unless it is the name of a
// variable or a file.
func (s *source) noteSecret(path, raw string, kind fieldKind) {
	if raw == "" || shielded.MatchString(raw) {
		return
	}
	if kind.secret || kind.key && IsKeyText(raw) || kind.url && userinfo.MatchString(raw) {
		s.secrets = append(s.secrets, Secret{path, s.doc.file})
	}
}
