package identity

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// clipped is the most that Clip leaves of a text, in bytes.
const clipped = 200

// Clip makes a text from outside fit for a log: at most 200 bytes of it and a
// mark for the rest, on one line, without what a terminal obeys or a log would
// have to escape.
func Clip(s string) string { return ClipTo(s, clipped) }

// ClipTo is Clip with another bound.
func ClipTo(s string, most int) string {
	end := len(s)
	if end > most {
		for end = most; end > 0 && !utf8.RuneStart(s[end]); end-- {
		}
	}
	clean := strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '.'
		}
		return r
	}, s[:end])
	if end < len(s) {
		clean += "…"
	}
	return clean
}
