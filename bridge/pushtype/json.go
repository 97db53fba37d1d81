package pushtype

import "bytes"

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

// A scanner reads JSON tokens from text, from at on.
type scanner struct {
	text []byte
	at   int
	name [len(longestName)]byte // where the last key was written without its escapes
}

const jsonSpace = " \t\r\n"

// peek passes space and gives the byte behind it; 0: the text has ended.
func (s *scanner) peek() byte {
	for ; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// take takes the punctuation c, if that comes next.
func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.at++
	return true
}

// key takes a key and its colon. The key is good until the next one is taken.
func (s *scanner) key() (key []byte, ok bool) {
	if s.peek() != '"' {
		return nil, false
	}
	key, escaped := s.quoted()
	if escaped {
		key = s.unescape(key)
	}
	return key, s.take(':')
}

// quoted takes a string, whose opening quote comes next, and returns what is between
// the quotes as it is written.
func (s *scanner) quoted() (inner []byte, escaped bool) {
	s.at++
	b := s.text[s.at:]
	for i, c := range b[:min(short, len(b))] {
		if c == '"' {
			s.at += i + 1
			return b[:i], false
		}
		if c == '\\' {
			return s.long(b)
		}
	}
	return s.long(b)
}

// short is how many bytes of a string are looked at one by one: keys are short.
const short = 24

// long is quoted for the strings, begun at b, that are long or have escapes.
func (s *scanner) long(b []byte) (inner []byte, escaped bool) {
	end := bytes.IndexByte(b, '"')
	if end >= 0 && bytes.IndexByte(b[:end], '\\') < 0 {
		s.at += end + 1
		return b[:end], false
	}
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			s.at += i + 1
			return b[:i], true
		}
	}
	s.at = len(s.text)
	return b, true
}

// value takes any value.
func (s *scanner) value() value {
	first := s.peek()
	start := s.at
	switch first {
	case '"':
		inner, _ := s.quoted()
		return value{jsonText, inner}
	case '{':
		s.nested()
		return value{jsonObject, s.text[start:s.at]}
	case '[':
		s.nested()
		return value{jsonArray, s.text[start:s.at]}
	}
	if start == len(s.text) {
		return value{}
	}
	s.other()
	v := value{jsonOther, s.text[start:s.at]}
	if string(v.text) == "null" {
		v.kind = jsonNull
	}
	return v
}

// other takes all up to the end of a number or word.
func (s *scanner) other() {
	for ; s.at < len(s.text); s.at++ {
		switch s.text[s.at] {
		case ',', '}', ']', ' ', '\t', '\r', '\n':
			return
		}
	}
}

// nested takes an object or array with all that is in it.
func (s *scanner) nested() {
	depth := 0
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case '"':
			s.quoted()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		s.at++
		if depth == 0 {
			return
		}
	}
}

// unescape gives a key without its escapes, or as it is written where it cannot be one of
// the names that are looked for: these are ASCII.
func (s *scanner) unescape(key []byte) []byte {
	name := s.name[:0]
	for rest := key; len(rest) > 0; {
		c, size := firstOf(rest)
		if size == 0 || len(name) == len(s.name) {
			return key
		}
		name, rest = append(name, c), rest[size:]
	}
	return name
}

// firstOf reads the first character of a written key, of size 0 if that is not ASCII or
// is written in a way that no name needs.
func firstOf(key []byte) (c byte, size int) {
	if key[0] != '\\' {
		return key[0], 1
	}
	if len(key) < 6 || string(key[:4]) != `\u00` {
		return 0, 0
	}
	for _, h := range key[4:6] {
		switch {
		case h >= '0' && h <= '9':
			c = c<<4 | (h - '0')
		case h|0x20 >= 'a' && h|0x20 <= 'f':
			c = c<<4 | (h | 0x20 - 'a' + 10)
		default:
			return 0, 0
		}
	}
	return c, 6
}
