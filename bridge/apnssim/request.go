package apnssim

import (
	"strconv"

	"golang.org/x/net/http2/hpack"
)

// The headers of a request are bounded like those of a push, generously: the
// block as it travels, and the list as RFC 9113, 10.5.1 counts it, in bytes.
const (
	maxBlock   = 32 << 10
	maxHeaders = 16 << 10
)

// request is what the headers of a stream say. Its strings are its own.
type request struct {
	method, path, authority string
	authorization           string
	topic, pushType         string
	priority, expiration    string
	id, collapse            string
	length                  int // content-length, -1 if there is none
	has                     headers
	repeated                bool // an apns header came twice
}

// headers is a set of the headers that a request has.
type headers uint16

const (
	hasMethod headers = 1 << iota
	hasPath
	hasScheme
	hasAuthority
	hasAuthorization
	hasTopic
	hasPushType
	hasPriority
	hasExpiration
	hasID
	hasCollapse
	hasLength
)

// block is a header block that is being decoded.
type block struct {
	stream    uint32
	end       bool // of the stream
	size      int  // of the block so far
	list      int  // of the header list so far
	regular   bool // a regular header has come, so pseudo-headers may not
	malformed bool // RFC 9113, 8.1.1
	request   request
}

func (b *block) begin(stream uint32, end bool) {
	*b = block{stream: stream, end: end, request: request{length: -1}}
}

// field takes one header field from the decoder.
func (b *block) field(f hpack.HeaderField) {
	b.list += int(f.Size())
	r := &b.request
	if f.IsPseudo() {
		b.pseudo(f)
		return
	}
	b.regular = true
	switch f.Name {
	case "authorization":
		b.put(hasAuthorization, &r.authorization, f.Value)
	case "apns-topic":
		b.put(hasTopic, &r.topic, f.Value)
	case "apns-push-type":
		b.put(hasPushType, &r.pushType, f.Value)
	case "apns-priority":
		b.put(hasPriority, &r.priority, f.Value)
	case "apns-expiration":
		b.put(hasExpiration, &r.expiration, f.Value)
	case "apns-id":
		b.put(hasID, &r.id, f.Value)
	case "apns-collapse-id":
		b.put(hasCollapse, &r.collapse, f.Value)
	case "content-length":
		n, err := strconv.ParseUint(f.Value, 10, 31)
		b.malformed = b.malformed || err != nil || r.has&hasLength != 0
		r.length = int(n)
		r.has |= hasLength
	case "te":
		b.malformed = b.malformed || f.Value != "trailers"
	case "connection", "transfer-encoding", "upgrade", "keep-alive", "proxy-connection":
		b.malformed = true
	default:
		b.malformed = b.malformed || hasUpper(f.Name)
	}
}

func (b *block) pseudo(f hpack.HeaderField) {
	r := &b.request
	b.malformed = b.malformed || b.regular
	before := r.has
	switch f.Name {
	case ":method":
		r.method = f.Value
		r.has |= hasMethod
	case ":path":
		r.path = f.Value
		b.malformed = b.malformed || f.Value == ""
		r.has |= hasPath
	case ":scheme":
		r.has |= hasScheme
	case ":authority":
		r.authority = f.Value
		r.has |= hasAuthority
	}
	// Nothing new: a pseudo-header that came before, or that is none of these.
	b.malformed = b.malformed || r.has == before
}

func (b *block) put(which headers, to *string, value string) {
	r := &b.request
	if r.has&which != 0 {
		r.repeated = true
		return
	}
	r.has |= which
	*to = value
}

// complete reports whether the block can begin a request.
func (b *block) complete() bool {
	const needed = hasMethod | hasPath | hasScheme
	return !b.malformed && b.list <= maxHeaders && b.request.has&needed == needed
}
