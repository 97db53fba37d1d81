package fuzz

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
)

// streams are the recorded ones, and one good and one bad example of everything.
func streams(f *testing.F) [][]byte {
	f.Helper()
	names, err := filepath.Glob("../binproto/testdata/captures/*.bin")
	if err != nil || len(names) == 0 {
		f.Fatalf("no recorded streams (%v)", err)
	}
	all := examples()
	for _, name := range names {
		stream, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, stream)
	}
	return all
}

// field is data behind its u16 length.
func field(data []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(data))), data...)
}

func item(id byte, data []byte) []byte { return append([]byte{id}, field(data)...) }

func simple(token, payload []byte) []byte {
	return bytes.Join([][]byte{{0}, field(token), field(payload)}, nil)
}

func enhanced(token, payload []byte) []byte {
	return bytes.Join([][]byte{{1, 0, 0, 0, 7, 0x69, 0x21, 0x8e, 0xa0}, field(token), field(payload)}, nil)
}

func framed(items ...[]byte) []byte {
	body := bytes.Join(items, nil)
	return append(binary.BigEndian.AppendUint32([]byte{2}, uint32(len(body))), body...)
}

func examples() [][]byte {
	var (
		zeros      = func(n int) []byte { return make([]byte, n) }
		token      = bytes.Repeat([]byte{0xab}, 32)
		payload    = []byte(`{"aps":{"alert":"hi"}}`)
		longest    = bytes.Repeat([]byte{'x'}, 4096)
		tokenItem  = item(1, token)
		payItem    = item(2, payload)
		identifier = item(3, []byte{0, 0, 0, 7})
		expiry     = item(4, []byte{0x69, 0x21, 0x8e, 0xa0})
		priority   = item(5, []byte{5})
		whole      = framed(tokenItem, payItem, identifier, expiry, priority)
	)
	return [][]byte{
		// good
		simple(token, payload),
		enhanced(token, payload),
		whole,
		framed(identifier, tokenItem, payItem, expiry, priority),
		framed(tokenItem, payItem),
		framed(item(77, []byte("?")), tokenItem, item(0, nil), payItem),
		framed(identifier, expiry, priority, tokenItem, payItem, item(3, []byte{9, 9, 9, 9}), item(4, zeros(4)),
			item(5, []byte{1})),
		simple(zeros(100), longest),
		enhanced(token, append(bytes.Clone(longest), 0)),
		simple(token, []byte("{}\x00\x00")),
		framed(item(99, zeros(60000)), item(2, longest), identifier, tokenItem),

		// refused, and read on behind them
		append(enhanced(nil, payload), whole...),
		enhanced([]byte{0}, []byte{0}),
		simple(token[:31], payload),
		simple(zeros(101), payload),
		enhanced(zeros(65535), zeros(65535)),
		append(simple(token, nil), simple(token, payload)...),
		simple(token, []byte{0}),
		simple(token, append(bytes.Clone(longest), 'x')),
		append(enhanced(token, zeros(65535)), whole...),
		framed(),
		framed(identifier, item(1, nil), item(2, nil), expiry, priority),
		framed(payItem, identifier),
		framed(tokenItem, identifier),
		append(framed(tokenItem, identifier, item(2, zeros(60000))), whole...),
		framed(item(1, zeros(60000)), identifier, payItem),
		framed(tokenItem, payItem, item(3, zeros(3))),
		framed(tokenItem, payItem, item(4, zeros(8)), identifier),
		framed(tokenItem, payItem, identifier, item(5, zeros(4))),
		framed(tokenItem, tokenItem, payItem, identifier),
		framed(tokenItem, item(2, nil), identifier, payItem),
		framed(bytes.Repeat([]byte{6, 0, 0}, 1<<16), tokenItem, payItem),

		// unusable
		{3, 0, 0},
		{0x16, 3, 1},
		{2, 0, 4, 0, 1},
		{2, 0xff, 0xff, 0xff, 0xff},
		{2, 0, 0, 0, 4, 1, 0, 2, 0xab},
		{2, 0, 0, 0, 2, 1, 0},
		append(framed(item(99, zeros(60000)), tokenItem)[:60040], 0xff),

		// cut short
		{},
		whole[:len(whole)-1],
		simple(token, payload)[:3],
		enhanced(token, zeros(65535))[:9000],
	}
}
