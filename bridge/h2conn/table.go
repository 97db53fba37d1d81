package h2conn

import "bytes"

// table is the dynamic table of HPACK (RFC 7541, 2.3.2) for what the server sends.
// We ask for none, and most servers then say so with the next header block, or
// put nothing into it. Some go on compressing as if nothing had been said.
type table struct {
	fields []staticField // the newest last
	size   int           // as RFC 7541, 4.1 counts
	max    int           // bytes
}

// resize follows the server. More than the size that every table begins with is
// not taken: it was never offered.
func (t *table) resize(max int) bool {
	if max > initialTable {
		return false
	}
	t.max = max
	t.evict(0)
	return true
}

// add puts a copy of a field in front of all others.
func (t *table) add(name, value []byte) {
	size := len(name) + len(value) + fieldOverhead
	field := staticField{bytes.Clone(name), bytes.Clone(value)} // before what they may be taken from goes
	if t.evict(size); size <= t.max {
		t.fields = append(t.fields, field)
		t.size += size
	}
}

// evict makes room for so many bytes.
func (t *table) evict(more int) {
	gone := 0
	for ; gone < len(t.fields) && t.size+more > t.max; gone++ {
		f := t.fields[gone]
		t.size -= len(f.name) + len(f.value) + fieldOverhead
	}
	if gone > 0 {
		n := copy(t.fields, t.fields[gone:])
		clear(t.fields[n:])
		t.fields = t.fields[:n]
	}
}

// find gives the field of an index, counted over both tables (RFC 7541, 2.3.3), or
// nil.
func (t *table) find(index int) *staticField {
	if index == 0 {
		return nil
	}
	if index < len(staticTable) {
		return &staticTable[index]
	}
	if i := len(t.fields) - 1 - (index - len(staticTable)); i >= 0 {
		return &t.fields[i]
	}
	return nil
}
