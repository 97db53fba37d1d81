package upstream

import (
	"encoding/hex"
	"runtime"
	"time"
)

// Push is one notification on its way to APNs. Whoever sends it owns it, but for
// the time from Send until it is answered or Begin has said no, in which it is
// the Upstream's.
type Push struct {
	Owner any // leads Begin and Answered back to whose push it is

	// Fresh asks for a connection that is dialled after Send: APNs binds team and
	// topics to a connection at its first push, so that one which was refused a topic
	// or credential may be refused it for ever.
	Fresh bool

	// Again says that APNs has not looked at the push the last time. If it does not once
	// more, and accepts others, that is not the connection's fault.
	Again bool

	after   uint64 // of a Fresh one: it goes on connections dialled after this many
	Token   []byte // of the device; any size
	Request Request
	Payload []byte // JSON, as APNs gets it

	Attempts int       // begun; Begin counts them, and one of which nothing was written is taken back
	Sent     time.Time // when the last attempt began; Begin sets it
	Bearer   string    // the authorization header of the last attempt: "bearer " and a JWT, or empty
}

// fetch has the processor fetch what the request for p is written from. It comes from where
// another processor has just written it: that of many pushes at the same time takes hardly
// longer than that of one.
func (p *Push) fetch() {
	const cacheLine = 64
	runtime.KeepAlive(p.Request.Priority)
	for _, b := range [...][]byte{p.Token, p.Payload} {
		for i := 0; i < len(b); i += cacheLine {
			runtime.KeepAlive(b[i])
		}
	}
}

// Request is what is asked of APNs besides token and payload. It says nothing
// of how it is carried.
type Request struct {
	Topic      string // apns-topic
	PushType   string // apns-push-type
	Expiration int64  // apns-expiration: seconds since 1970, or NoExpiration for no header
	ID         UUID   // apns-id: a log line finds the push by it
	Priority   uint8  // apns-priority
}

// NoExpiration is the Request.Expiration of a request without the header.
const NoExpiration = -1

// devicePath appends the path of a device to b.
func devicePath(b, token []byte) []byte {
	return hex.AppendEncode(append(b, "/3/device/"...), token)
}
