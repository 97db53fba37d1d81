package h2conn

import (
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// encoder turns requests into header blocks (RFC 7541). A Prefix goes through
// hpack and into the table the first time, and is a few cached index bytes as
// long as the table stays as it is.
type encoder struct {
	hp       *hpack.Encoder
	w        *sink
	limit    uint32 // of the table, ours
	epoch    uint64 // counts the changes of the table
	resized  bool   // the next block begins with the new size
	prefixes [16]cachedPrefix
	turn     int // the place that is overwritten next
}

type cachedPrefix struct {
	prefix          *Prefix
	epoch           uint64
	pseudo, regular []byte
}

// sink lets hpack append to a slice.
type sink struct{ b []byte }

func (s *sink) Write(p []byte) (int, error) {
	s.b = append(s.b, p...)
	return len(p), nil
}

func newEncoder(tableBytes int) encoder {
	e := encoder{w: new(sink), limit: uint32(tableBytes)}
	e.hp = hpack.NewEncoder(e.w)
	e.hp.SetMaxDynamicTableSizeLimit(e.limit)
	e.resized = e.limit < initialTable
	return e
}

// initialTable is the table's size until SETTINGS change it (RFC 9113, 6.5.2).
const initialTable = 4096

// resize follows SETTINGS_HEADER_TABLE_SIZE. The hpack encoder tells the server
// the new size with the next block (RFC 7541, 4.2).
func (e *encoder) resize(v uint32) {
	now := e.hp.MaxDynamicTableSize()
	if v = min(v, e.limit); v == now {
		return
	}
	if v < now || e.resized {
		// Through 0: a block that begins with two sizes, because the limit has
		// moved twice, is refused by Go's decoder unless its table is empty.
		e.hp.SetMaxDynamicTableSize(0)
	}
	e.hp.SetMaxDynamicTableSize(v)
	e.resized = true
}

// appendRequest writes the header block of r. Pseudo fields come first
// (RFC 9113, 8.3), so the path stands between the halves of the prefix.
func (e *encoder) appendRequest(b []byte, r *Request) []byte {
	pseudo, regular := e.encode(r.Prefix)
	b = append(b, pseudo...)
	const literalPath = 0x04 // without indexing, name 4 of the static table
	b = append(b, literalPath)
	b = appendString(b, r.Path)
	b = append(b, regular...)
	for i := range r.Fields {
		f := &r.Fields[i]
		const literal = 0x00 // without indexing, new name
		b = append(b, literal)
		b = appendInt(b, 0, 7, len(f.Name))
		b = append(b, f.Name...)
		b = appendString(b, f.Value)
	}
	return b
}

// encode returns the prefix as bytes that are good for the block being written.
func (e *encoder) encode(p *Prefix) (pseudo, regular []byte) {
	place := -1
	for i := range e.prefixes {
		if c := &e.prefixes[i]; c.prefix == p {
			if c.epoch == e.epoch && !e.resized {
				return c.pseudo, c.regular
			}
			place = i
			break
		}
	}
	e.w.b = e.w.b[:0]
	changed := e.resized
	e.resized = false
	for _, f := range p.pseudo {
		changed = e.encodeField(f) || changed
	}
	half := len(e.w.b)
	for _, f := range p.regular {
		changed = e.encodeField(f) || changed
	}
	pseudo, regular = e.w.b[:half], e.w.b[half:]
	if changed {
		e.epoch++
		return pseudo, regular
	}
	if place < 0 {
		place = e.turn
		e.turn = (e.turn + 1) % len(e.prefixes)
	}
	c := &e.prefixes[place]
	c.prefix, c.epoch = p, e.epoch
	c.pseudo = append(c.pseudo[:0], pseudo...)
	c.regular = append(c.regular[:0], regular...)
	return c.pseudo, c.regular
}

// encodeField reports whether the table has changed, which every index in a cached
// prefix would feel.
func (e *encoder) encodeField(f hpack.HeaderField) bool {
	at := len(e.w.b)
	e.hp.WriteField(f) // to a slice, which cannot fail
	b := e.w.b[at:]
	for b[0]&0xe0 == 0x20 { // the size of the table comes before the field
		_, n, _ := readInt(b, 5)
		b = b[n:]
	}
	return b[0]&0xc0 == 0x40 // literal, and into the table
}

// appendString writes a string as it is. Huffman coding would save a fifth of
// the bytes of a token and cost more time than they do.
func appendString(b, s []byte) []byte {
	b = appendInt(b, 0, 7, len(s))
	return append(b, s...)
}

// appendInt writes an integer with a prefix of so many bits (RFC 7541, 5.1).
func appendInt(b []byte, first byte, bits uint, v int) []byte {
	top := 1<<bits - 1
	if v < top {
		return append(b, first|byte(v))
	}
	b = append(b, first|byte(top))
	for v -= top; v >= 0x80; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v))
}

// appendHead writes HEADERS, and CONTINUATION where the block is larger than
// the server's frames (RFC 9113, 6.10).
func (m *machine) appendHead(s *slot) {
	at := len(m.out)
	m.out = append(m.out, make([]byte, frameHeader)...) // filled in below
	m.out = m.encoder.appendRequest(m.out, s.req)
	var flags http2.Flags
	if len(s.req.Body) == 0 {
		flags = http2.FlagHeadersEndStream
	}
	size := len(m.out) - at - frameHeader
	if size <= m.peer.maxFrame {
		appendFrame(m.out[:at], size, http2.FrameHeaders, flags|http2.FlagHeadersEndHeaders, s.id)
		return
	}
	block := append([]byte(nil), m.out[at+frameHeader:]...)
	m.out = m.out[:at]
	for t := http2.FrameHeaders; len(block) > 0; t, flags = http2.FrameContinuation, 0 {
		part := block[:min(len(block), m.peer.maxFrame)]
		if block = block[len(part):]; len(block) == 0 {
			flags |= http2.FlagHeadersEndHeaders
		}
		m.out = appendFrame(m.out, len(part), t, flags, s.id)
		m.out = append(m.out, part...)
	}
}
