package h2conn

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestGoldenBytes compares what goes over the wire, byte by byte.
func TestGoldenBytes(t *testing.T) {
	cfg := Config{}.withDefaults()
	m := newMachine(&cfg)
	compare := func(name, want string) {
		t.Helper()
		if got := m.handOver(nil); !bytes.Equal(got, unhex(t, want)) {
			t.Errorf("%s\ngot  %x\nwant %x", name, got, unhex(t, want))
		}
	}
	compare("greeting", hex.EncodeToString([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))+`
		000018 04 00 00000000  0001 00000000  0002 00000000  0004 00008000  0006 00004000
		000004 08 00 00000000  000f0001`)
	m.peer.greeted, m.peer.acknowledged = true, true
	m.openIfSettled()

	prefix, err := NewPrefix("POST", "https", "a.b", Field{"apns-topic", []byte("t")})
	if err != nil {
		t.Fatal(err)
	}
	request := func() *Request {
		return &Request{Prefix: prefix, Path: []byte("/x"), Fields: []Field{{"apns-id", []byte("7")}}, Body: []byte("{}")}
	}
	submit := func() {
		t.Helper()
		if err := m.submit(request(), 0); err != nil {
			t.Fatal(err)
		}
	}
	// :method and :scheme are in the static table; :authority and apns-topic go
	// into the dynamic one, the latter's name and value in Huffman where shorter.
	submit()
	compare("first request", `
		000021 01 04 00000001
			83 87  41 03 612e62  04 02 2f78
			40 87 1d7521649eb313 01 74
			00 07 61706e732d6964 01 37
		000002 00 01 00000001 7b7d`)
	for id := range 3 {
		submit()
		compare("further request", `
			000013 01 04 0000000`+string('3'+byte(2*id))+`
				83 87 bf  04 02 2f78  be
				00 07 61706e732d6964 01 37
			000002 00 01 0000000`+string('3'+byte(2*id))+` 7b7d`)
	}
	// Two changes of the table's size are announced before the next head, and only there.
	for _, size := range []uint32{0, 100} {
		if err := m.takeSetting(http2.SettingHeaderTableSize, size); err != nil {
			t.Fatal(err)
		}
	}
	submit()
	compare("request after a change of the table", `
		000024 01 04 00000009
			20 3f45 83 87  41 03 612e62  04 02 2f78
			40 87 1d7521649eb313 01 74
			00 07 61706e732d6964 01 37
		000002 00 01 00000009 7b7d`)
	submit()
	compare("and the one behind it", `
		000013 01 04 0000000b
			83 87 bf  04 02 2f78  be
			00 07 61706e732d6964 01 37
		000002 00 01 0000000b 7b7d`)
	if err := m.takeSetting(http2.SettingHeaderTableSize, 200); err != nil {
		t.Fatal(err)
	}
	for id, size := range []string{"3fa901", ""} {
		submit()
		compare("a larger table", `
			0000`+hex.EncodeToString([]byte{byte(0x13 + len(size)/2)})+` 01 04 0000000`+string("df"[id])+size+`
				83 87 bf  04 02 2f78  be
				00 07 61706e732d6964 01 37
			000002 00 01 0000000`+string("df"[id])+` 7b7d`)
	}
	m.cancel(m.find(3), Canceled, errCanceled)
	compare("RST_STREAM", `000004 03 00 00000003 00000008`)
	m.appendPing(true, [8]byte{1, 2, 3, 4, 5, 6, 7, 8})
	compare("PING", `000008 06 01 00000000 0102030405060708`)
	m.end(0, errEOF)
	compare("GOAWAY", `000008 07 00 00000000 00000000 00000000`)
}

func TestIntegers(t *testing.T) {
	for _, test := range []struct {
		v    int
		bits uint
		want string
	}{ // RFC 7541, C.1, and the edges
		{10, 5, "0a"}, {1337, 5, "1f9a0a"}, {42, 8, "2a"}, {0, 4, "00"}, {14, 4, "0e"}, {15, 4, "0f00"}, {126, 7, "7e"}, {127, 7, "7f00"}, {255, 7, "7f8001"},
	} {
		got := appendInt(nil, 0, test.bits, test.v)
		if !bytes.Equal(got, unhex(t, test.want)) {
			t.Errorf("%d in %d bits: got %x, want %s", test.v, test.bits, got, test.want)
		}
		v, n, err := readInt(got, test.bits)
		if v != test.v || n != len(got) || err != nil {
			t.Errorf("%x in %d bits: got %d of %d bytes, %v, want %d", got, test.bits, v, n, err, test.v)
		}
		for cut := range got {
			if _, _, err := readInt(got[:cut], test.bits); err == nil {
				t.Errorf("%x cut at %d is accepted", got, cut)
			}
		}
	}
}

// TestStaticTable compares a few entries with RFC 7541, appendix A.
func TestStaticTable(t *testing.T) {
	for i, want := range map[int]staticField{
		1: {[]byte(":authority"), nil}, 4: {[]byte(":path"), []byte("/")}, 8: {[]byte(":status"), []byte("200")},
		28: {[]byte("content-length"), nil}, 61: {[]byte("www-authenticate"), nil},
	} {
		if got := staticTable[i]; string(got.name) != string(want.name) || string(got.value) != string(want.value) {
			t.Errorf("%d: got %s %s, want %s %s", i, got.name, got.value, want.name, want.value)
		}
	}
}
