package pushtype

import "bytes"

// facts is what the choice of a push type wants to know of a payload.
type facts struct {
	mdm        bool // a top-level key mdm
	aps        bool // a top-level key aps
	visible    bool // aps has an alert or sound that is not empty, or a badge
	background bool // aps has content-available
}

// scan looks through a payload once. It changes and allocates nothing,
// and takes what is not JSON as far as it goes: APNs judges that. As with
// encoding/json, the last of two equal keys counts.
func scan(payload []byte) facts {
	var f facts
	var aps apsFacts
	s := scanner{rest: payload}
	if !s.open('{') {
		return f
	}
	for {
		key, ok := s.key()
		if !ok {
			break
		}
		switch {
		case keyIs(key, "mdm"):
			f.mdm = true
			s.value()
		case keyIs(key, "aps"):
			f.aps = true
			aps = s.aps()
		default:
			s.value()
		}
		if !s.comma() {
			break
		}
	}
	f.visible = aps.alert || aps.badge || aps.sound
	f.background = aps.contentAvailable
	return f
}

type apsFacts struct{ alert, badge, sound, contentAvailable bool }

// aps reads the value of the top-level key aps.
func (s *scanner) aps() apsFacts {
	var f apsFacts
	if !s.open('{') {
		s.value()
		return f
	}
	for {
		key, ok := s.key()
		if !ok {
			break
		}
		v := s.value()
		switch {
		case keyIs(key, "alert"):
			f.alert = !v.empty()
		case keyIs(key, "badge"):
			f.badge = v.kind != nothing && v.kind != jsonNull
		case keyIs(key, "sound"):
			f.sound = !v.empty()
		case keyIs(key, "content-available"):
			f.contentAvailable = v.truth()
		}
		if !s.comma() {
			break
		}
	}
	s.open('}')
	return f
}

type kind uint8

const (
	nothing kind = iota // the payload ended
	jsonNull
	jsonText
	jsonObject
	jsonArray
	jsonOther // a number, true, false, or what is none of these
)

type value struct {
	kind kind
	text []byte // of jsonText between its quotes, else the whole value
}

// empty says of an alert or sound that there is nothing to show or play: null,
// "", {} or [].
func (v value) empty() bool {
	switch v.kind {
	case nothing, jsonNull:
		return true
	case jsonText:
		return len(v.text) == 0
	case jsonObject, jsonArray:
		inner := v.text[1:]
		if len(inner) > 0 {
			inner = inner[:len(inner)-1]
		}
		return len(bytes.TrimLeft(inner, jsonSpace)) == 0
	}
	return false
}

// truth says of content-available that it is on: any number but 0, true, or a
// string of such a number, as some libraries write it.
func (v value) truth() bool {
	switch v.kind {
	case jsonText, jsonOther:
		if string(v.text) == "false" {
			return false
		}
		digits := bytes.IndexAny(v.text, "123456789")
		exponent := bytes.IndexAny(v.text, "eE")
		return string(v.text) == "true" || digits >= 0 && (exponent < 0 || digits < exponent)
	}
	return false
}

// A scanner reads JSON tokens from the front of rest.
type scanner struct{ rest []byte }

const jsonSpace = " \t\r\n"

func (s *scanner) space() {
	for len(s.rest) > 0 {
		switch s.rest[0] {
		case ' ', '\t', '\r', '\n':
			s.rest = s.rest[1:]
		default:
			return
		}
	}
}

// open takes the punctuation c, if that comes next.
func (s *scanner) open(c byte) bool {
	s.space()
	if len(s.rest) == 0 || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

func (s *scanner) comma() bool { return s.open(',') }

// key takes a key and its colon, and returns the key as it is written.
func (s *scanner) key() (key []byte, ok bool) {
	s.space()
	if len(s.rest) == 0 || s.rest[0] != '"' {
		return nil, false
	}
	key = s.text()
	return key, s.open(':')
}

// text takes a string, whose opening quote comes next, and returns what is
// between the quotes as it is written.
func (s *scanner) text() []byte {
	b := s.rest[1:]
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			s.rest = b[i+1:]
			return b[:i]
		}
	}
	s.rest = nil
	return b
}

// value takes any value.
func (s *scanner) value() value {
	s.space()
	if len(s.rest) == 0 {
		return value{}
	}
	start := s.rest
	switch s.rest[0] {
	case '"':
		return value{jsonText, s.text()}
	case '{':
		s.nested()
		return value{jsonObject, start[:len(start)-len(s.rest)]}
	case '[':
		s.nested()
		return value{jsonArray, start[:len(start)-len(s.rest)]}
	}
	end := bytes.IndexAny(s.rest, ",}] \t\r\n")
	if end < 0 {
		end = len(s.rest)
	}
	s.rest = s.rest[end:]
	v := value{jsonOther, start[:end]}
	if string(v.text) == "null" {
		v.kind = jsonNull
	}
	return v
}

// nested takes an object or array with all that is in it.
func (s *scanner) nested() {
	depth := 0
	for len(s.rest) > 0 {
		switch s.rest[0] {
		case '"':
			s.text()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		s.rest = s.rest[1:]
		if depth == 0 {
			return
		}
	}
}

// keyIs compares a key as it is written, perhaps with escapes, to an ASCII name.
func keyIs(key []byte, name string) bool {
	if string(key) == name {
		return true
	}
	if bytes.IndexByte(key, '\\') < 0 {
		return false
	}
	for i := range len(name) {
		c, size := unescape(key)
		if size == 0 || c != rune(name[i]) {
			return false
		}
		key = key[size:]
	}
	return len(key) == 0
}

// unescape reads the first character of a written key, of size 0 if it is none; a
// byte of a longer character stands for itself, since no name has any.
func unescape(key []byte) (c rune, size int) {
	if len(key) == 0 {
		return 0, 0
	}
	if key[0] != '\\' {
		return rune(key[0]), 1
	}
	if len(key) < 6 || key[1] != 'u' {
		return 0, 0
	}
	for _, h := range key[2:6] {
		switch {
		case h >= '0' && h <= '9':
			c = c<<4 | rune(h-'0')
		case h|0x20 >= 'a' && h|0x20 <= 'f':
			c = c<<4 | rune(h|0x20-'a'+10)
		default:
			return 0, 0
		}
	}
	return c, 6
}
