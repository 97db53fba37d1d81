package bridge

import (
	"slices"
	"sync"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/conversation"
	"apnsbridge/bridge/lane"
	"apnsbridge/bridge/upstream"
)

// notification is a notification on its way: the only copy that is made of it. It has
// two holders: the conversation, from Push to Release, and its lane, from Arrive or
// Enter until the lane lets go of it. When it has no holder left it goes back to the
// pool.
type notification struct {
	// What an answer looks at comes first, and the whole fits in six cache lines: there
	// are more notifications on their way than the processor's caches can hold.
	session *Session // nil: it was read from disk, and its provider hears no more of it
	seq     conversation.Seq
	holders int32                // under the client's lock
	outcome conversation.Outcome // once its delivery has ended
	lane    *appLane
	route   *route // by which it was handed to an upstream

	upstream.Push        // Payload stands behind Token in its memory
	lane.Item            // its place in the lane
	taken         int64  // when it was taken, by Clock.Nanos
	identifier    uint32 // of its frame
	named         bool   // its identifier names it alone, and it may have a tombstone
}

// Token is the device token. With Payload it makes the notification a
// conversation.Content.
func (n *notification) Token() []byte { return n.Push.Token }

// Payload is the payload as the provider wrote it.
func (n *notification) Payload() []byte { return n.Push.Payload }

// notificationOverhead is what a notification costs besides its bytes, including its
// places in window and queues.
const notificationOverhead = 512

// notifications has free ones: all fields are zero, but Token is empty with some capacity.
var notifications = sync.Pool{New: func() any { return new(notification) }}

// newNotification copies a frame, and keeps nothing of the original.
func newNotification(s *Session, frame *binproto.Notification, now time.Time) *notification {
	n := notifications.Get().(*notification)
	n.session, n.taken = s, s.bridge.clock.Nanos(now)
	n.copy(frame.Token, frame.Payload)
	return n
}

// copy makes token and payload those of n.
func (n *notification) copy(token, payload []byte) {
	size := len(token) + len(payload)
	b := append(append(slices.Grow(n.Push.Token[:0], size), token...), payload...)
	n.Push.Token, n.Push.Payload = b[:len(token)], b[len(token):]
	n.Item.Token, n.Item.Size = n.Push.Token, int64(notificationOverhead+size)
	n.Push.Owner, n.Item.Owner = n, n
}

// of gives the notification that an item stands for.
func of(it *lane.Item) *notification { return it.Owner.(*notification) }

// leave says that the lane has let go of n. The caller must not touch n afterwards.
func (n *notification) leave(o conversation.Outcome, now time.Time) {
	if n.session != nil {
		if o == conversation.Expired || o == conversation.Dropped {
			n.session.bridge.exhume(n)
		}
		n.session.settled(n, o, now)
		return
	}
	a, size := n.lane.app, n.Size
	n.free()
	a.account.Give(size)
	a.bridge.settled(1)
}

// free gives the notification's memory back. Neither session nor lane may still hold it.
func (n *notification) free() {
	memory := n.Push.Token[:0]
	*n = notification{}
	n.Push.Token = memory
	notifications.Put(n)
}

// longestExpiry is how far ahead APNs stores a notification; libraries that
// mean "for ever" ask for decades.
const longestExpiry = 30 * 24 * time.Hour

// onceExpiry is how long a push may wait here if APNs is to attempt it only once.
const onceExpiry = time.Minute

// expiration gives the apns-expiration for a frame's expiry, and the second from which
// the notification need not be sent any more. An expiry of 0 or in the past asks APNs
// for a single attempt, but ours go on for the time once: rpush sends 86400.
func expiration(expiry uint32, once time.Duration, now time.Time) (header, expires int64) {
	if int64(expiry) <= now.Unix() {
		return 0, now.Add(once).Unix()
	}
	expires = min(int64(expiry), now.Add(longestExpiry).Unix())
	return expires, expires
}

// expireAt notes until when n is worth an attempt. has says that its frame has an
// expiry.
func (a *app) expireAt(n *notification, expiry uint32, has bool, now time.Time) {
	switch {
	case !has:
		n.Request.Expiration, n.Expires = upstream.NoExpiration, now.Add(longestExpiry).Unix()
	case a.bridge.mode == SpoolAlways: // what is on disk is delivered
		n.Request.Expiration, n.Expires = expiration(expiry, longestExpiry, now)
	default:
		n.Request.Expiration, n.Expires = expiration(expiry, onceExpiry, now)
	}
}

// amend changes n as an answer demands, once, and gives what the answer then means.
func (n *notification) amend(v upstream.Verdict, class lane.Class) lane.Class {
	switch class {
	case lane.Amended:
		if n.Flags.Amended {
			return lane.Malformed
		}
		n.Flags.Amended = true
		n.Request.Amend(v.Class)
	case lane.Renewed:
		if n.Flags.Renewed {
			return lane.CredentialRefused // another JWT did not help
		}
		n.Flags.Renewed = true
	}
	return class
}
