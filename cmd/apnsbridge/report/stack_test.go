package report

import "testing"

// The TLS stacks of languages are told apart by what they were seen to offer, in each TLS version (Debian 12: OpenSSL
// 3.0, PHP 8.2, Node 20, Python 3.11, Ruby 3.1, Erlang 25, Java 17, and Go 1.26); any other offer is unknown.
func TestStackOf(t *testing.T) {
	all := []uint8{0, 1, 2}
	one := []uint8{0}
	for name, test := range map[string]struct {
		want       Stack
		ciphers    []uint16
		extensions []uint16
		points     []uint8
	}{
		"s_client, 1.3": {OpenSSL, []uint16{4866, 4867, 4865, 49196, 49200, 159, 52393, 52392, 52394, 49195, 49199, 47, 255},
			[]uint16{11, 10, 35, 22, 23, 13, 43, 45, 51}, all},
		"s_client, 1.0": {OpenSSL, []uint16{49162, 49172, 57, 49161, 49171, 51, 53, 47, 255}, []uint16{11, 10, 35, 22, 23},
			all},
		"Ruby, 1.3": {OpenSSL, []uint16{4866, 4867, 4865, 49196, 49200, 159, 52393, 52392, 52394, 49195, 49199, 47, 255},
			[]uint16{11, 10, 35, 22, 23, 49, 13, 43, 45, 51, 21}, all},
		"PHP, 1.3": {PHP, []uint16{4866, 4867, 4865, 49199, 49195, 49200, 49196, 158, 162, 163, 159, 49191, 255},
			[]uint16{0, 11, 10, 35, 22, 23, 13, 43, 45, 51, 21}, all},
		"PHP, 1.2": {PHP, []uint16{49199, 49195, 49200, 49196, 158, 162, 163, 159, 49191, 255},
			[]uint16{0, 11, 10, 35, 22, 23, 13, 21}, all},
		"PHP, 1.0": {OpenSSL, []uint16{49162, 49172, 57, 49161, 49171, 51, 53, 47, 255}, []uint16{0, 11, 10, 35, 22, 23},
			all},
		"Node, 1.3": {Node, []uint16{4866, 4867, 4865, 49199, 49195, 49200, 49196, 158, 49191, 103, 49192, 107, 255},
			[]uint16{11, 10, 35, 22, 23, 13, 43, 45, 51}, all},
		"Python, 1.3": {Python, []uint16{4866, 4867, 4865, 49196, 49200, 49195, 49199, 52393, 52392, 49188, 49192, 255},
			[]uint16{11, 10, 35, 22, 23, 13, 43, 45, 51, 21}, all},
		"Erlang, 1.3": {Erlang, []uint16{255, 4866, 4865, 4867, 4868, 4869, 49196, 49200, 49325},
			[]uint16{0, 13, 51, 10, 11, 43}, one},
		"Erlang, 1.2": {Erlang, []uint16{255, 49196, 49200, 49325, 49327}, []uint16{0, 13, 10, 11}, one},
		"Java, 1.2": {Java, []uint16{49196, 49195, 52393, 49200, 52392, 49199, 159, 53, 47, 255},
			[]uint16{5, 10, 11, 17, 23, 35, 13, 43, 50}, one},
		"Go, 1.3": {Go, []uint16{49195, 49199, 49196, 49200, 52393, 52392, 49161, 49171, 49162, 49172, 4865, 4866,
			4867}, []uint16{11, 65281, 23, 18, 5, 10, 13, 50, 43, 51}, one},
		"Go, 1.2": {Go, []uint16{49195, 49199, 49196, 49200, 52393, 52392, 49161, 49171, 49162, 49172},
			[]uint16{11, 65281, 23, 18, 5, 10, 13, 50, 43}, one},
		"a browser": {UnknownStack, []uint16{0x3a3a, 4865, 4866, 4867, 49195, 49199},
			[]uint16{0xaaaa, 0, 23, 65281, 10, 11, 35, 16, 5, 13, 18, 51, 45, 43}, one},
		"a bare one": {UnknownStack, []uint16{47, 10}, nil, nil},
		"none":       {UnknownStack, nil, nil, nil},
	} {
		if got := StackOf(test.ciphers, test.extensions, test.points); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}
