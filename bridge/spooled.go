package bridge

import (
	"encoding/binary"
	"errors"
	"time"

	"apnsbridge/store"
)

// queueName is the spool's name for what waits for one environment of an app.
func queueName(app string, e Environment) string {
	if e == Sandbox {
		return app + "/sandbox"
	}
	return app + "/production"
}

// spooledVersion begins the body of a notification in the spool. Integers are
// big-endian:
//
//	version u8 · flags u8 · throttled u8 · priority u8 · apns-id 16 bytes ·
//	expiration i64 · push type: length u8, text · topic: length u16, text · payload
const spooledVersion = 1

const spooledHead = 4 + 16 + 8

// What was done for a notification already, and shall not be done twice.
const (
	spooledAmended = 1 << iota
	spooledRepeated
)

// appendSpooled writes down what is to be asked of APNs for r.
func appendSpooled(b []byte, r *record) []byte {
	q := &r.Request
	var flags byte
	if r.plan.amended {
		flags |= spooledAmended
	}
	if r.plan.repeated {
		flags |= spooledRepeated
	}
	b = append(b, spooledVersion, flags, byte(r.plan.throttled), q.Priority)
	b = append(b, q.ID[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(q.Expiration))
	b = append(append(b, byte(len(q.PushType))), q.PushType...)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(q.Topic))), q.Topic...)
	return append(b, r.Payload()...)
}

var errSpooled = errors.New("it is of another version, or cut short")

// readSpooled makes a record of what was written down, with a copy of its bytes.
// It has no app yet.
func readSpooled(from *store.SpoolRecord) (*record, error) {
	b := from.Body
	if len(b) < spooledHead || b[0] != spooledVersion {
		return nil, errSpooled
	}
	r := records.Get().(*record)
	*r = record{bytes: r.bytes[:0], plan: plan{amended: b[1]&spooledAmended != 0, repeated: b[1]&spooledRepeated != 0, throttled: min(int(b[2]), len(throttledDelays))}}
	q := &r.Request
	q.Priority = b[3]
	copy(q.ID[:], b[4:])
	q.Expiration = int64(binary.BigEndian.Uint64(b[20:]))
	rest, ok := b[spooledHead:], true
	text := func(lengthSize int) string {
		if len(rest) < lengthSize {
			ok = false
			return ""
		}
		n := int(rest[0])
		if lengthSize == 2 {
			n = int(binary.BigEndian.Uint16(rest))
		}
		if rest = rest[lengthSize:]; len(rest) < n {
			ok = false
			return ""
		}
		s := string(rest[:n])
		rest = rest[n:]
		return s
	}
	q.PushType, q.Topic = text(1), text(2)
	if !ok || len(from.Token) == 0 {
		r.free()
		return nil, errSpooled
	}
	if !from.Expires.IsZero() {
		r.expires = from.Expires.Unix()
	}
	r.copy(from.Token, rest)
	return r, nil
}

// expiresAt is when the spool need not keep r any more.
func (r *record) expiresAt() time.Time {
	if r.expires == 0 {
		return time.Time{}
	}
	return time.Unix(r.expires, 0)
}
