package h2conn

import (
	"encoding/binary"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2/hpack"
)

// A Request is sent by Submit and belongs to the connection, with all the bytes
// it points to, until Complete is handed it. Then it can be used again.
type Request struct {
	Prefix  *Prefix
	Path    []byte  // :path, as "/3/device/…"
	Fields  []Field // header fields of this request alone; never put into HPACK's table
	Body    []byte
	Timeout time.Duration // from Submit on; 0 is Config.RequestTimeout
	Owner   any           // the caller's; not touched

	// What became of it, set before Complete.
	Fate     Fate
	Err      error     // why, unless Answered
	Response *Response // what was received, perhaps incomplete unless Answered; may be nil; borrowed until Complete returns

	stream uint32 // 0: not under way
	call   *call  // of a RoundTrip
}

// A Field is a header field: the name in lower case.
type Field struct {
	Name  string
	Value []byte
}

// A Response is borrowed until Complete returns.
type Response struct {
	Status int
	Values [][]byte // of Config.Want; empty where the server sent none
	Body   []byte
}

// A Prefix holds the header fields that many requests have in common. They go
// into HPACK's dynamic table once and cost a byte each afterwards, so make one
// for each set of values and use it on any number of connections. A few dozen
// in turn fit into the table of a connection.
type Prefix struct {
	pseudo  []hpack.HeaderField
	regular []hpack.HeaderField
	size    int  // as SETTINGS_MAX_HEADER_LIST_SIZE counts
	head    bool // a response to HEAD has no body, whatever its content-length
}

// NewPrefix makes a prefix of the request's method, scheme and authority, and
// of header fields in the given order. Names must be in lower case.
func NewPrefix(method, scheme, authority string, fields ...Field) (*Prefix, error) {
	p := &Prefix{
		pseudo: []hpack.HeaderField{
			{Name: ":method", Value: method}, {Name: ":scheme", Value: scheme}, {Name: ":authority", Value: authority},
		},
		head: method == "HEAD",
	}
	for _, f := range fields {
		if err := f.check(); err != nil {
			return nil, err
		}
		p.regular = append(p.regular, hpack.HeaderField{Name: f.Name, Value: string(f.Value)})
	}
	for _, f := range p.pseudo {
		if f.Value == "" || !plain([]byte(f.Value)) {
			return nil, &RequestError{"bad value of " + f.Name}
		}
		p.size += int(f.Size())
	}
	for _, f := range p.regular {
		p.size += int(f.Size())
	}
	return p, nil
}

// fieldOverhead is what every field adds to a header list (RFC 9113, 10.5.1).
const fieldOverhead = 32

func (r *Request) headerListSize() int {
	size := r.Prefix.size + len(":path") + len(r.Path) + fieldOverhead
	for i := range r.Fields {
		size += len(r.Fields[i].Name) + len(r.Fields[i].Value) + fieldOverhead
	}
	return size
}

// check is what a request is refused for before it takes a stream.
func (r *Request) check() error {
	switch {
	case r.stream != 0:
		return &RequestError{"it is under way already"}
	case r.Prefix == nil:
		return &RequestError{"it has no Prefix"}
	case len(r.Path) == 0 || !plain(r.Path):
		return &RequestError{"bad value of :path"}
	}
	for i := range r.Fields {
		if err := r.Fields[i].check(); err != nil {
			return err
		}
	}
	return nil
}

func (f *Field) check() error {
	if !lowerToken(f.Name) {
		return &RequestError{"bad header field name " + quoted(f.Name)}
	}
	if !plain(f.Value) {
		return &RequestError{"bad value of header field " + f.Name}
	}
	return nil
}

// plain reports whether v has no control character but the tab, which could end a field
// or a line behind the server (RFC 9113, 8.2.1).
func plain(v []byte) bool {
	for len(v) >= 8 && !controlAmong(binary.LittleEndian.Uint64(v)) {
		v = v[8:]
	}
	for _, b := range v {
		if b < ' ' && b != '\t' || b == 0x7f {
			return false
		}
	}
	return true
}

// controlAmong reports whether one of eight bytes may be a control character, as the tab
// is: whether less than a space, or 0x7f. A borrow that goes from one byte into the next
// comes from one that is, and so does no harm.
func controlAmong(v uint64) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	del := v ^ 0x7f*ones
	return ((v-' '*ones)&^v|(del-ones)&^del)&tops != 0
}

// lowerToken says that a name may stand in a header field of HTTP/2.
func lowerToken(name string) bool {
	for i := range len(name) {
		if b := name[i]; b >= 'A' && b <= 'Z' || !httpguts.IsTokenRune(rune(b)) {
			return false
		}
	}
	return name != ""
}

func quoted(s string) string { return "\"" + strings.ToValidUTF8(s, "?") + "\"" }
