package bridge

import (
	"time"

	"apnsbridge/bridge/pushtype"
	"apnsbridge/bridge/upstream"
)

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

// expireAt notes until when n is worth an attempt; has says that its frame has
// an expiry.
func (a *app) expireAt(n *notification, expiry uint32, has bool, now time.Time) {
	switch {
	case !has:
		n.Request.Expiration, n.Expires = upstream.NoExpiration, now.Add(longestExpiry).Unix()
	case a.bridge.mode == SpoolAlways: // what is committed is delivered
		n.Request.Expiration, n.Expires = expiration(expiry, longestExpiry, now)
	default:
		n.Request.Expiration, n.Expires = expiration(expiry, onceExpiry, now)
	}
}

// amend changes what APNs called wrong, for one more attempt.
func amend(q *upstream.Request, c upstream.Class) {
	switch c {
	case upstream.BadPriority:
		if q.Priority == 10 {
			q.Priority = pushtype.BackgroundPriority
		} else {
			q.Priority = 10
		}
	case upstream.BadPushType:
		if q.PushType == pushtype.Alert {
			q.PushType, q.Priority = pushtype.Background, pushtype.BackgroundPriority
		} else {
			q.PushType, q.Priority = pushtype.Alert, 10
		}
	case upstream.BadExpiration:
		q.Expiration = upstream.NoExpiration
	}
}
