package bridge

import (
	"strconv"

	"apnsbridge/bridge/h2conn"
)

// attempt is one request for a record, with the bytes it is made of. The
// connection reads it and the record's payload until it hands the request back;
// then it serves for another record.
type attempt struct {
	h2conn.Request
	record *record

	path       []byte
	id         []byte
	expiration []byte
	fields     [2]h2conn.Field
}

func newAttempt() *attempt {
	a := new(attempt)
	a.Owner = a
	return a
}

// write makes of a the request for r.
func (a *attempt) write(prefix *h2conn.Prefix, r *record) {
	q := &r.request
	a.path = devicePath(a.path[:0], r.Token())
	a.id = q.id.appendText(a.id[:0])
	a.Prefix, a.Path, a.Body = prefix, a.path, r.Payload()
	a.fields[0] = h2conn.Field{Name: "apns-id", Value: a.id}
	a.Fields = a.fields[:1]
	if q.expiration != noExpiration {
		a.expiration = strconv.AppendInt(a.expiration[:0], q.expiration, 10)
		a.fields[1] = h2conn.Field{Name: "apns-expiration", Value: a.expiration}
		a.Fields = a.fields[:2]
	}
}

// clear lets go of the record.
func (a *attempt) clear() {
	a.record, a.Prefix, a.Body = nil, nil, nil
	a.Response, a.Err = nil, nil
}

// verdictOn says what became of a request that its connection has handed back. A
// response that breaks off is judged as far as it came: the status is known.
func verdictOn(q *h2conn.Request) verdict {
	if q.Response != nil {
		return judge(q.Response.Status, q.Response.Body)
	}
	v := verdict{class: ambiguous}
	if q.Fate == h2conn.Unprocessed {
		v.class = unsent
	}
	if q.Err != nil {
		v.reason = q.Err.Error()
	}
	return v
}
