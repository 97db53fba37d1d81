package upstream

import (
	"net/http"
	"strconv"

	"apnsbridge/bridge/h2conn"
)

// prefixBound is how many prefixes an Upstream keeps. Most apps need two or three.
const prefixBound = 64

// prefixes keeps the header fields that many requests have in common, those
// used last in front. It has no lock.
type prefixes struct {
	authority string // host:port of APNs
	list      []prefixEntry
}

type prefixEntry struct {
	bearer, topic, pushType string
	priority                uint8
	prefix                  *h2conn.Prefix
}

func (e *prefixEntry) fits(bearer string, q *Request) bool {
	return e.priority == q.Priority && e.pushType == q.PushType && e.topic == q.Topic && e.bearer == bearer
}

// find gives the prefix of a request. bearer is its authorization header; empty
// is none. The prefixes of the JWT before it are forgotten.
func (p *prefixes) find(bearer string, q *Request) (*h2conn.Prefix, error) {
	for i := range p.list {
		if p.list[i].fits(bearer, q) {
			found := p.list[i]
			copy(p.list[1:i+1], p.list[:i])
			p.list[0] = found
			return found.prefix, nil
		}
	}
	fields := []h2conn.Field{
		{Name: "user-agent", Value: []byte("apnsbridge")},
		{Name: "apns-topic", Value: []byte(q.Topic)},
		{Name: "apns-push-type", Value: []byte(q.PushType)},
		{Name: "apns-priority", Value: strconv.AppendUint(nil, uint64(q.Priority), 10)},
	}
	if bearer != "" {
		// It goes into HPACK's table. As a literal that is never indexed (RFC 7541,
		// 7.1.3) it would be written out in each request: BenchmarkUpstream then takes
		// half as long again. Nobody but APNs shares the table.
		fields = append(fields, h2conn.Field{Name: "authorization", Value: []byte(bearer)})
	}
	prefix, err := h2conn.NewPrefix(http.MethodPost, "https", p.authority, fields...)
	if err != nil {
		return nil, err
	}
	switch {
	case len(p.list) > 0 && p.list[0].bearer != bearer:
		clear(p.list)
		p.list = p.list[:0]
	case len(p.list) == prefixBound:
		p.list = p.list[:prefixBound-1]
	}
	p.list = append(p.list, prefixEntry{})
	copy(p.list[1:], p.list)
	p.list[0] = prefixEntry{bearer, q.Topic, q.PushType, q.Priority, prefix}
	return prefix, nil
}
