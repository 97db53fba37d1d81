package bridge

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"time"
)

// request is what is asked of APNs besides token and payload. It says nothing
// of how it is carried.
type request struct {
	topic      string
	pushType   string
	expiration int64 // seconds since 1970, or noExpiration for no header
	id         uuid  // apns-id: a log line finds the push by it
	priority   uint8
}

const noExpiration = -1

// longestExpiry is how far ahead APNs stores a notification; libraries that
// mean "for ever" ask for decades.
const longestExpiry = 30 * 24 * time.Hour

// onceExpiry is how long we wait with a push for which APNs is to make one
// attempt.
const onceExpiry = time.Minute

// expiration gives the apns-expiration of a frame's expiry, and the second from
// which it need not be sent any more. An expiry of 0 or in the past asks APNs for
// one attempt; it ends ours only after once, for rpush sends 86400.
func expiration(expiry uint32, once time.Duration, now time.Time) (header, expires int64) {
	if int64(expiry) <= now.Unix() {
		return 0, now.Add(once).Unix()
	}
	expires = min(int64(expiry), now.Add(longestExpiry).Unix())
	return expires, expires
}

// expireAt notes until when r is worth an attempt; has says that its frame has
// an expiry.
func (a *app) expireAt(r *record, expiry uint32, has bool, now time.Time) {
	switch {
	case !has:
		r.request.expiration, r.expires = noExpiration, now.Add(longestExpiry).Unix()
	case a.bridge.spool != nil && a.bridge.spool.mode == SpoolAlways: // what is committed is delivered
		r.request.expiration, r.expires = expiration(expiry, longestExpiry, now)
	default:
		r.request.expiration, r.expires = expiration(expiry, onceExpiry, now)
	}
}

// devicePath appends the path of a device to b.
func devicePath(b, token []byte) []byte {
	return hex.AppendEncode(append(b, "/3/device/"...), token)
}

// uuid is a random UUID of RFC 9562, version 4.
type uuid [16]byte

// newUUID takes its bits from a generator that the runtime seeds: they need to
// differ, not to be secret.
func newUUID() uuid {
	var u uuid
	binary.BigEndian.PutUint64(u[:8], rand.Uint64())
	binary.BigEndian.PutUint64(u[8:], rand.Uint64())
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	return u
}

// appendText appends the 36 characters of u.
func (u uuid) appendText(b []byte) []byte {
	for i, size := range [...]int{4, 2, 2, 2, 6} {
		if i > 0 {
			b = append(b, '-')
		}
		start := [...]int{0, 4, 6, 8, 10}[i]
		b = hex.AppendEncode(b, u[start:start+size])
	}
	return b
}

func (u uuid) String() string { return string(u.appendText(make([]byte, 0, 36))) }

// amend changes what APNs called wrong, for one more attempt.
func (q *request) amend(c class) {
	switch c {
	case badPriority:
		if q.priority == 10 {
			q.priority = backgroundPriority
		} else {
			q.priority = 10
		}
	case badPushType:
		if q.pushType == typeAlert {
			q.pushType, q.priority = typeBackground, backgroundPriority
		} else {
			q.pushType, q.priority = typeAlert, 10
		}
	case badExpiration:
		q.expiration = noExpiration
	}
}
