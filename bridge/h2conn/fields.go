package h2conn

import (
	"errors"

	"golang.org/x/net/http2/hpack"
)

// errBlock is a header block that is not HPACK, or that uses the table which
// the server has agreed not to use.
var errBlock = errors.New("h2conn: header block cannot be decoded")

// fieldReader decodes a header block for a table of size 0: static indices and
// literals are all there is, no block depends on another, and nothing is kept.
type fieldReader struct {
	block []byte
	began bool // a field was read, so a table size would be too late
	name  []byte
	value []byte // as it came
	coded bool   // with Huffman's code

	nameBuf, valueBuf sink // for Huffman
}

func (f *fieldReader) reset(block []byte) { f.block, f.began = block, false }

// next reads a field into name and value, which are borrowed until the next
// call. It returns false at the end of the block. Most values are read by
// nobody, and decoding one takes longer than all else that is done with a field.
func (f *fieldReader) next() (bool, error) {
	for len(f.block) > 0 {
		b := f.block[0]
		switch {
		case b&0x80 != 0:
			f.began = true
			return true, f.indexed()
		case b&0xe0 == 0x20:
			size, err := f.int(5)
			if err != nil || size != 0 || f.began {
				return false, errBlock
			}
		default:
			f.began = true
			bits := uint(4)
			if b&0xc0 == 0x40 {
				bits = 6 // "into the table", where nothing fits: RFC 7541, 4.4
			}
			return true, f.literal(bits)
		}
	}
	return false, nil
}

func (f *fieldReader) indexed() error {
	i, err := f.int(7)
	if err != nil || i == 0 || i >= len(staticTable) {
		return errBlock
	}
	f.name, f.value, f.coded = staticTable[i].name, staticTable[i].value, false
	return nil
}

func (f *fieldReader) literal(bits uint) error {
	i, err := f.int(bits)
	if err != nil || i >= len(staticTable) {
		return errBlock
	}
	if i > 0 {
		f.name = staticTable[i].name
	} else {
		name, coded, err := f.string()
		if err != nil {
			return err
		}
		if f.name, err = decode(name, coded, &f.nameBuf); err != nil {
			return err
		}
	}
	f.value, f.coded, err = f.string()
	return err
}

// decoded is the value in plain bytes, borrowed until the next call of next.
func (f *fieldReader) decoded() ([]byte, error) { return decode(f.value, f.coded, &f.valueBuf) }

// valueSize is how many bytes the value has in plain, or may have at most: no
// character has less than 5 bits in Huffman's code.
func (f *fieldReader) valueSize() int {
	if f.coded {
		return len(f.value) * 8 / 5
	}
	return len(f.value)
}

func (f *fieldReader) string() (s []byte, coded bool, err error) {
	if len(f.block) == 0 {
		return nil, false, errBlock
	}
	coded = f.block[0]&0x80 != 0
	n, err := f.int(7)
	if err != nil || n > len(f.block) {
		return nil, false, errBlock
	}
	s = f.block[:n]
	f.block = f.block[n:]
	return s, coded, nil
}

func decode(s []byte, coded bool, buf *sink) ([]byte, error) {
	if !coded {
		return s, nil
	}
	buf.b = buf.b[:0]
	if _, err := hpack.HuffmanDecode(buf, s); err != nil {
		return nil, errBlock
	}
	return buf.b, nil
}

func (f *fieldReader) int(bits uint) (int, error) {
	v, n, err := readInt(f.block, bits)
	f.block = f.block[n:]
	return v, err
}

// readInt reads an integer with a prefix of so many bits (RFC 7541, 5.1). No
// integer of ours has more than 28 bits behind its prefix.
func readInt(b []byte, bits uint) (v, size int, err error) {
	if len(b) == 0 {
		return 0, 0, errBlock
	}
	top := 1<<bits - 1
	if v = int(b[0]) & top; v < top {
		return v, 1, nil
	}
	for i := range 4 {
		if 1+i >= len(b) {
			return 0, 0, errBlock
		}
		c := b[1+i]
		v += int(c&0x7f) << (7 * i)
		if c&0x80 == 0 {
			return v, 2 + i, nil
		}
	}
	return 0, 0, errBlock
}

type staticField struct{ name, value []byte }

// staticTable is that of RFC 7541, appendix A, counted from 1. The hpack
// package keeps it to itself but decodes it.
var staticTable = func() (t [62]staticField) {
	d := hpack.NewDecoder(0, nil)
	for i := 1; i < len(t); i++ {
		f, err := d.DecodeFull([]byte{0x80 | byte(i)})
		if err != nil {
			panic(err)
		}
		t[i] = staticField{[]byte(f[0].Name), []byte(f[0].Value)}
	}
	return t
}()
