package h2conn

import (
	"errors"

	"golang.org/x/net/http2/hpack"
)

// errBlock is a header block that is not HPACK.
var errBlock = errors.New("h2conn: header block cannot be decoded")

// fieldReader decodes header blocks. As long as the server keeps to the table of
// size 0 that it was asked for, static indices and literals are all there is, no
// block depends on another, and nothing is kept.
type fieldReader struct {
	table table
	block []byte
	began bool // a field was read, so a table size would be too late
	name  []byte
	value []byte // as it came
	coded bool   // with Huffman's code

	nameBuf, valueBuf sink // for Huffman
}

func (f *fieldReader) reset(block []byte) { f.block, f.began = block, false }

// next reads a field into name and value, which are borrowed until the next
// call. It returns false at the end of the block. Most values are never
// read, and decoding one takes longer than all else that is done with a field.
func (f *fieldReader) next() (bool, error) {
	for len(f.block) > 0 {
		b := f.block[0]
		switch {
		case b&0x80 != 0:
			f.began = true
			return true, f.indexed()
		case b&0xe0 == 0x20:
			size, err := f.int(5)
			if err != nil || f.began || !f.table.resize(size) {
				return false, errBlock
			}
		default:
			f.began = true
			if b&0xc0 == 0x40 {
				return true, f.indexing()
			}
			return true, f.literal(4)
		}
	}
	return false, nil
}

func (f *fieldReader) indexed() error {
	i, err := f.int(7)
	found := f.table.find(i)
	if err != nil || found == nil {
		return errBlock
	}
	f.name, f.value, f.coded = found.name, found.value, false
	return nil
}

// indexing reads a literal that goes into the table, if that has a size.
func (f *fieldReader) indexing() error {
	if err := f.literal(6); err != nil || f.table.max == 0 {
		return err
	}
	value, err := f.decoded()
	if err != nil {
		return err
	}
	f.value, f.coded = value, false
	f.table.add(f.name, value)
	return nil
}

// rest reads the fields that are of no interest, for the table's sake.
func (f *fieldReader) rest() error {
	for f.table.max > 0 {
		if more, err := f.next(); err != nil || !more {
			return err
		}
	}
	return nil
}

func (f *fieldReader) literal(bits uint) error {
	i, err := f.int(bits)
	if err != nil {
		return errBlock
	}
	if i > 0 {
		found := f.table.find(i)
		if found == nil {
			return errBlock
		}
		f.name = found.name
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

// shortValue is how many coded bytes need not be decoded to know their size well
// enough.
const shortValue = 64

// valueSize is how many bytes the value has in plain, of a short one how many it
// may have at most: no character has less than 5 bits in Huffman's code.
func (f *fieldReader) valueSize() (int, error) {
	switch {
	case !f.coded:
		return len(f.value), nil
	case len(f.value) <= shortValue:
		return len(f.value) * 8 / 5, nil
	}
	value, err := f.decoded()
	return len(value), err
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
