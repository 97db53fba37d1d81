package report

import "slices"

// Stack is whose TLS a hello is, as far as its shape tells.
type Stack string

// The stacks. What PHP, Node and Python ask OpenSSL for is each one's own; Ruby, Perl, C and older versions of all
// three leave it at OpenSSL's.
const (
	UnknownStack Stack = ""
	Java         Stack = "Java"
	Go           Stack = "Go"
	Erlang       Stack = "Erlang"
	OpenSSL      Stack = "OpenSSL"
	PHP          Stack = "PHP"
	Node         Stack = "Node"
	Python       Stack = "Python"
)

// ciphersOf is how the ciphers for TLS 1.2 begin that a language asks OpenSSL for (recorded from PHP 8.2, Node 20 and
// Python 3.11).
var ciphersOf = []struct {
	stack Stack
	begin []uint16
}{
	{PHP, []uint16{0xc02f, 0xc02b, 0xc030, 0xc02c, 0x9e, 0xa2, 0xa3, 0x9f}},
	{Node, []uint16{0xc02f, 0xc02b, 0xc030, 0xc02c, 0x9e, 0xc027, 0x67}},
	{Python, []uint16{0xc02c, 0xc030, 0xc02b, 0xc02f, 0xcca9, 0xcca8, 0xc024, 0xc028}},
}

// StackOf recognises a stack by what a hello offers: ciphers, extensions and point formats, in the hello's order. It
// goes by what one stack alone does, whatever its version and settings are.
func StackOf(ciphers, extensions []uint16, points []uint8) Stack {
	const (
		renegotiation = 0xff // the cipher that stands for an extension
		tls13         = 0x13 // the first byte of its ciphers
		statusV2      = 17
		timestamps    = 18
	)
	if len(ciphers) == 0 {
		return UnknownStack
	}
	isNew := func(c uint16) bool { return c>>8 == tls13 }
	switch last := ciphers[len(ciphers)-1]; {
	case slices.Contains(extensions, statusV2):
		return Java
	case ciphers[0] == renegotiation:
		return Erlang
	case slices.Equal(points, []uint8{0, 1, 2}) && last == renegotiation:
		return openSSL(slices.DeleteFunc(slices.Clone(ciphers), isNew))
	case slices.Contains(extensions, timestamps) && slices.Equal(points, []uint8{0}) &&
		!slices.Contains(ciphers, renegotiation) &&
		slices.ContainsFunc(ciphers, isNew) == isNew(last): // it appends them
		return Go
	}
	return UnknownStack
}

func openSSL(ciphers []uint16) Stack {
	for _, c := range ciphersOf {
		if len(ciphers) >= len(c.begin) && slices.Equal(ciphers[:len(c.begin)], c.begin) {
			return c.stack
		}
	}
	return OpenSSL
}
