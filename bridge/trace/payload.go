package trace

import "encoding/json"

// withoutTexts is JSON with "…" in the place of every text: what the notification is
// stays, what it says to a person does not. Of what is no JSON nothing stays, for it may
// all be text.
func withoutTexts(payload []byte) []byte {
	if !json.Valid(payload) {
		return []byte("…")
	}
	out := make([]byte, 0, len(payload))
	for i := 0; i < len(payload); {
		if payload[i] != '"' {
			out = append(out, payload[i])
			i++
			continue
		}
		end := endOfText(payload, i)
		if isName(payload[end:]) {
			out = append(out, payload[i:end]...)
		} else {
			out = append(out, `"…"`...)
		}
		i = end
	}
	return out
}

// endOfText is behind the text that begins at i.
func endOfText(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}

// isName reports whether what is before rest is the name of a member.
func isName(rest []byte) bool {
	for _, c := range rest {
		switch c {
		case ' ', '\t', '\r', '\n':
		default:
			return c == ':'
		}
	}
	return false
}
