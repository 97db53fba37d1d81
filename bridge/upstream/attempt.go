package upstream

import (
	"errors"
	"strconv"

	"apnsbridge/bridge/h2conn"
)

// attempt is one request for a push, with the bytes it is made of. The
// connection reads it and the push's payload until it hands the request back;
// then it serves for another push.
type attempt struct {
	h2conn.Request
	push *Push

	path       []byte
	id         []byte
	expiration []byte
	fields     [2]h2conn.Field
}

// wanted are the header fields of an answer that verdictOn reads.
var wanted = []string{"apns-unique-id"}

func newAttempt() *attempt {
	a := new(attempt)
	a.Owner = a
	return a
}

// write makes of a the request for p.
func (a *attempt) write(prefix *h2conn.Prefix, p *Push) {
	q := &p.Request
	a.path = devicePath(a.path[:0], p.Token)
	a.id = q.ID.appendText(a.id[:0])
	a.Prefix, a.Path, a.Body = prefix, a.path, p.Payload
	a.fields[0] = h2conn.Field{Name: "apns-id", Value: a.id}
	a.Fields = a.fields[:1]
	if q.Expiration != NoExpiration {
		a.expiration = strconv.AppendInt(a.expiration[:0], q.Expiration, 10)
		a.fields[1] = h2conn.Field{Name: "apns-expiration", Value: a.expiration}
		a.Fields = a.fields[:2]
	}
}

// clear lets go of the push.
func (a *attempt) clear() {
	a.push, a.Prefix, a.Body = nil, nil, nil
	a.Response, a.Err = nil, nil
}

// verdictOn says what became of a request that its connection has handed back. A
// response that breaks off is judged as far as it came: the status is known.
func verdictOn(q *h2conn.Request) Verdict {
	if q.Response != nil {
		v := judge(q.Response.Status, q.Response.Body)
		if values := q.Response.Values; len(values) > 0 && len(values[0]) > 0 {
			v.UniqueID = clip(string(values[0]))
		}
		return v
	}
	v := Verdict{Class: NoAnswer}
	if q.Fate == h2conn.Unprocessed {
		v.Class = Unprocessed
		var away *h2conn.GoAway
		if errors.As(q.Err, &away) {
			if judged, ok := judgeGoAway(away.Debug); ok {
				return judged
			}
		}
	}
	if q.Err != nil {
		v.Reason = q.Err.Error()
	}
	return v
}
