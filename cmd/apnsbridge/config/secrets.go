package config

import (
	"fmt"
	"regexp"
	"strings"
)

// IsKeyText reports whether a value is the text of a key or a certificate, and not
// the name of its file: PEM, or the base64 of DER or PEM, as environments have it.
func IsKeyText(value string) bool {
	return strings.Contains(value, "-----BEGIN") || strings.ContainsAny(value, "\r\n") ||
		len(value) > 100 && (strings.HasPrefix(value, "MI") || strings.HasPrefix(value, beginInBase64))
}

// beginInBase64 is how the base64 of "-----BEGIN " begins.
const beginInBase64 = "LS0tLS1CRUdJTi"

// userinfo is what stands before the host of a URL, however broken the rest is.
var userinfo = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*://)?.*@`)

// query is what stands behind the path of a URL, where tokens are put too.
var query = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*://[^?#]*[?#]).+`)

// Clip shortens what a message repeats from the file, and leaves out what may be
// secret: the text of a key, and of an address the user, the password and the query.
func Clip(value string) string {
	const most, readable = 60, 8 << 10
	if IsKeyText(value) {
		if strings.Contains(value, "-----BEGIN") || len(value) > 100 {
			return "(the text of a key)"
		}
		return "(several lines)"
	}
	if len(value) > readable { // what may be secret in it is not looked for
		return fmt.Sprintf("(a text of %d bytes)", len(value))
	}
	value = query.ReplaceAllString(userinfo.ReplaceAllString(value, "${1}xxx@"), "${1}xxx")
	if len(value) > most {
		value = strings.ToValidUTF8(value[:most], "") + "…"
	}
	return value
}

// clipPath is Clip for the name of a file, of which the end matters.
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

// A Secret is a setting whose value is secret and stands in the file itself.
type Secret struct{ Setting, File string }

// Secrets are those of all files.
func (c *Config) Secrets() []Secret { return c.secrets }

// noteSecret notes that the present file has a secret at path: not the name of a
// variable, nor that of a file.
func (s *source) noteSecret(path, raw string, kind fieldKind) {
	if raw == "" || shielded.MatchString(raw) {
		return
	}
	if kind.secret || kind.key && IsKeyText(raw) || kind.url && userinfo.MatchString(raw) {
		s.secrets = append(s.secrets, Secret{path, s.doc.file})
	}
}
