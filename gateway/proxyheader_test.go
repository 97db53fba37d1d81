package gateway

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// block is a PROXY header of version 2.
func block(command, way byte, rest ...byte) string {
	b := append([]byte(proxySignature), 0x20|command, way)
	b = binary.BigEndian.AppendUint16(b, uint16(len(rest)))
	return string(append(b, rest...))
}

// ends are the two addresses and two ports of a block.
func ends(from, to string) []byte {
	a, b := netip.MustParseAddrPort(from), netip.MustParseAddrPort(to)
	rest := slices.Concat(a.Addr().AsSlice(), b.Addr().AsSlice())
	rest = binary.BigEndian.AppendUint16(rest, a.Port())
	return binary.BigEndian.AppendUint16(rest, b.Port())
}

// tlv is what may stand behind them.
func tlv(kind byte, value ...byte) []byte {
	return append([]byte{kind, byte(len(value) >> 8), byte(len(value))}, value...)
}

var (
	four = ends("203.0.113.7:40000", "10.0.0.2:2195")
	six  = ends("[2001:db8::7]:40000", "[2001:db8::2]:2195")

	// A client certificate in the TLV of TLS, verified as the program says: type
	// 0x20, flags, the result, then the common name as 0x22.
	certified = tlv(0x20, slices.Concat([]byte{7, 0, 0, 0, 0}, tlv(0x22, []byte("com.example.mail")...))...)
)

const proxyTestLimit = 48 << 10

// proxyCases are headers, and what becomes of them.
var proxyCases = []struct {
	name, header string
	from         string // "" if the connection's own address holds
	err          error
}{
	{"version 1", "PROXY TCP4 203.0.113.7 10.0.0.2 40000 2195\r\n", "203.0.113.7:40000", nil},
	{"version 1, shortest", "PROXY TCP4 1.1.1.1 2.2.2.2 3 4\r\n", "1.1.1.1:3", nil},
	{"version 1, longest IPv4", "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255:65535",
		nil},
	{"version 1, IPv6", "PROXY TCP6 2001:db8::7 2001:db8::2 40000 2195\r\n", "[2001:db8::7]:40000", nil},
	{"version 1, shortest IPv6", "PROXY TCP6 :: :: 0 0\r\n", "[::]:0", nil},
	{"version 1, IPv4 in IPv6", "PROXY TCP6 ::ffff:203.0.113.7 ::ffff:10.0.0.2 40000 2195\r\n", "203.0.113.7:40000", nil},
	{"version 1, unknown", "PROXY UNKNOWN\r\n", "", nil},
	{"version 1, unknown with addresses", "PROXY UNKNOWN 203.0.113.7 10.0.0.2 40000 2195\r\n", "", nil},
	{"version 1, unknown with what there is", "PROXY UNKNOWN \r \r\r\n", "", nil},
	{"version 1, of 107 bytes", "PROXY UNKNOWN " + strings.Repeat("f", 107-14-2) + "\r\n", "", nil},
	{"version 2", block(1, 0x11, four...), "203.0.113.7:40000", nil},
	{"version 2, IPv6", block(1, 0x21, six...), "[2001:db8::7]:40000", nil},
	{"version 2, IPv4 in IPv6", block(1, 0x21, ends("[::ffff:203.0.113.7]:40000", "[::ffff:10.0.0.2]:2195")...),
		"203.0.113.7:40000", nil},
	{"version 2 with a certificate", block(1, 0x11, slices.Concat(four, certified)...), "203.0.113.7:40000", nil},
	{"version 2 with a broken TLV", block(1, 0x11, slices.Concat(four, []byte{1, 0xff, 0xff, 0})...),
		"203.0.113.7:40000", nil},
	{"version 2 with much behind", block(1, 0x11, slices.Concat(four, tlv(4, make([]byte, 40_000)...))...),
		"203.0.113.7:40000", nil},
	{"version 2, local", block(0, 0), "", nil},
	{"version 2, local with addresses", block(0, 0x11, four...), "", nil},
	{"version 2, local of a family that is not", block(0, 0xff, 1, 2, 3), "", nil},
	{"version 2, unspecified", block(1, 0, four...), "", nil},
	{"version 2, Unix", block(1, 0x31, make([]byte, 216)...), "", nil},
	{"version 2, datagrams", block(1, 0x12, four...), "", nil},

	{"TLS", "\x16\x03\x01\x00\xff\x01\x00\x00\xfb\x03\x03\x00", "", errNoProxyHeader},
	{"frames", strings.Repeat("\x01\x00", 30), "", errNoProxyHeader},
	{"almost version 1", "PROXX TCP4 1.1.1.1 2.2.2.2 3 4\r\n", "", errNoProxyHeader},
	{"almost version 2", proxySignature[:11] + "\r\x21\x11\x00\x0c", "", errNoProxyHeader},
	{"version 1 of 108 bytes", "PROXY UNKNOWN " + strings.Repeat("f", 108-14-2) + "\r\n", "", errBadProxyHeader},
	{"version 1 without an end", "PROXY TCP4 " + strings.Repeat("1", 200), "", errBadProxyHeader},
	{"LF alone", "PROXY UNKNOWN\n", "", errBadProxyHeader},
	{"LF within the shortest", "PROXY TCP4 1\r\n.1.1.1 2.2.2.2 3 4\r\n", "", errBadProxyHeader},
	{"another protocol", "PROXY UDP4 1.1.1.1 2.2.2.2 3 4\r\n", "", errBadProxyHeader},
	{"no protocol", "PROXY  1.1.1.1 2.2.2.2 3 4\r\n", "", errBadProxyHeader},
	{"unknown, and more", "PROXY UNKNOWNS\r\n", "", errBadProxyHeader},
	{"a field too few", "PROXY TCP4 1.1.1.1 2.2.2.2 33333\r\n", "", errBadProxyHeader},
	{"a field too many", "PROXY TCP4 1.1.1.1 2.2.2.2 3 4 5\r\n", "", errBadProxyHeader},
	{"two spaces", "PROXY TCP4 1.1.1.1  2.2.2.2 3 4\r\n", "", errBadProxyHeader},
	{"IPv6 as TCP4", "PROXY TCP4 ::1 ::2 30000 40000\r\n", "", errBadProxyHeader},
	{"IPv4 as TCP6", "PROXY TCP6 1.1.1.1 2.2.2.2 3 4\r\n", "", errBadProxyHeader},
	{"a zone", "PROXY TCP6 fe80::1%eth0 fe80::2 3 4\r\n", "", errBadProxyHeader},
	{"zeros in front of an address", "PROXY TCP4 1.1.1.01 2.2.2.2 3 4\r\n", "", errBadProxyHeader},
	{"zeros in front of a port", "PROXY TCP4 1.1.1.1 2.2.2.2 03 4\r\n", "", errBadProxyHeader},
	{"no such port", "PROXY TCP4 1.1.1.1 2.2.2.2 3 65536\r\n", "", errBadProxyHeader},
	{"a sign", "PROXY TCP4 1.1.1.1 2.2.2.2 +3 4\r\n", "", errBadProxyHeader},
	{"version 3", proxySignature + "\x31\x11\x00\x0c" + string(four), "", errBadProxyHeader},
	{"version 2, another command", block(2, 0x11, four...), "", errBadProxyHeader},
	{"version 2, another family", block(1, 0x41, four...), "", errBadProxyHeader},
	{"version 2, another protocol", block(1, 0x13, four...), "", errBadProxyHeader},
	{"version 2, addresses cut", block(1, 0x11, four[:11]...), "", errBadProxyHeader},
	{"version 2, addresses of the other family", block(1, 0x21, four...), "", errBadProxyHeader},
	{"version 2 over the limit", block(1, 0x11, make([]byte, proxyTestLimit-15)...), "", errBadProxyHeader},
}

// TestProxyHeader reads every header whole, cut at every byte, and byte by byte:
// what stands behind it is left for others.
func TestProxyHeader(t *testing.T) {
	const behind = "\x16\x03\x01 and so on"
	for _, tt := range proxyCases {
		t.Run(tt.name, func(t *testing.T) {
			for _, size := range []int{1, 2, 3, 7, len(tt.header) + len(behind)} {
				r := &cutReader{in: []byte(tt.header + behind), size: size}
				from, err := readProxyHeader(r, proxyTestLimit)
				if !errors.Is(err, tt.err) {
					t.Fatalf("in pieces of %d: got %v, want %v", size, err, tt.err)
				}
				if err != nil {
					continue
				}
				if got := from.String(); tt.from != "" && got != tt.from || tt.from == "" && from.IsValid() {
					t.Errorf("in pieces of %d: got %s, want %q", size, got, tt.from)
				}
				if string(r.in) != behind {
					t.Errorf("in pieces of %d: %q is left, want %q", size, r.in, behind)
				}
			}
			if tt.err != nil || len(tt.header) > 1000 {
				return
			}
			for cut := range len(tt.header) {
				want := errBadProxyHeader
				if cut == 0 {
					want = io.EOF
				}
				if from, err := readProxyHeader(strings.NewReader(tt.header[:cut]), proxyTestLimit); !errors.Is(err, want) ||
					from.IsValid() {
					t.Errorf("cut at %d: got %v, %v, want %v", cut, from, err, want)
				}
			}
		})
	}
}

// FuzzProxyHeader: a header says the same however it is cut, nothing behind it is
// read, and nothing over its bounds.
func FuzzProxyHeader(f *testing.F) {
	for i, tt := range proxyCases {
		if len(tt.header) < 1000 {
			f.Add([]byte(tt.header+"\x16\x03\x01"), byte(i))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte, cut byte) {
		const limit = 1000
		whole := &cutReader{in: in, size: len(in) + 1}
		from, err := readProxyHeader(whole, limit)
		cutUp := &cutReader{in: in, size: int(cut) + 1}
		if from2, err2 := readProxyHeader(cutUp, limit); from2 != from || (err2 == nil) != (err == nil) || err == nil &&
			len(cutUp.in) != len(whole.in) {
			t.Fatalf("whole: %v, %v, %d left; in pieces of %d: %v, %v, %d left", from, err, len(whole.in), int(cut)+1, from2,
				err2, len(cutUp.in))
		}
		read := in[:len(in)-len(whole.in)]
		if len(read) > limit || bytes.HasPrefix(read, []byte(proxyLine)) && len(read) > proxyLineMax {
			t.Fatalf("%d bytes were read", len(read))
		}
		if err != nil {
			if from.IsValid() {
				t.Fatalf("%v with %v", from, err)
			}
			return
		}
		size := bytes.IndexByte(in, '\n') + 1
		if bytes.HasPrefix(in, []byte(proxySignature)) {
			size = 16 + int(binary.BigEndian.Uint16(in[14:]))
		}
		if len(read) != size {
			t.Fatalf("%d bytes were read of a header of %d", len(read), size)
		}
		if a := from.Addr(); from.IsValid() && (a.Zone() != "" || a.Is4In6()) {
			t.Fatalf("the address is %v", from)
		}
	})
}
