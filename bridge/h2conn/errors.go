package h2conn

import (
	"errors"
	"fmt"

	"golang.org/x/net/http2"
)

// A Fate says how a request ended, and so whether it may be sent again.
type Fate uint8

// The ways in which a request ends. Of all but Answered, Request.Err tells why.
const (
	Answered    Fate = iota // the response is complete
	Unprocessed             // not written whole, refused, or above a GOAWAY's last stream: safe to repeat (RFC 9113, 8.7)
	Unanswered              // written whole, then the connection was lost or the stream reset: the server may have acted
	TimedOut                // no complete response in time: the server may have acted, or may yet act
	Canceled                // by Cancel: the same
	Malformed               // the response breaks HTTP/2 or a bound of ours: the server has acted
)

// String is the fate as a word for logs.
func (f Fate) String() string {
	switch f {
	case Answered:
		return "answered"
	case Unprocessed:
		return "unprocessed"
	case Unanswered:
		return "unanswered"
	case TimedOut:
		return "timed out"
	case Canceled:
		return "canceled"
	case Malformed:
		return "malformed"
	}
	return "unknown fate"
}

// What Submit answers when it takes no more requests.
var (
	ErrNoRoom   = errors.New("h2conn: no room on the connection")
	ErrDraining = errors.New("h2conn: connection is draining")
	ErrClosed   = errors.New("h2conn: connection is closed")
)

// Why a connection or a request ended.
var (
	ErrLowered  = errors.New("h2conn: the server has lowered its limit of streams, and refused those above it")
	ErrDeadline = errors.New("h2conn: no complete response within the request's time-out")
	ErrSilent   = errors.New("h2conn: no answer to PING")
	ErrStuck    = errors.New("h2conn: the server does not read")
	ErrNotReady = errors.New("h2conn: the server did not settle on SETTINGS in time")
	ErrBarren   = errors.New("h2conn: the server gives no room for requests: neither window nor streams, " +
		"though it has nothing to do")
	ErrDrained  = errors.New("h2conn: connection was drained")
	ErrIDsSpent = errors.New("h2conn: all stream identifiers are spent")

	errCanceled = errors.New("h2conn: request was canceled")
	errEOF      = errors.New("h2conn: the server closed the connection")
)

// A RequestError says that a request cannot be sent on this connection, whatever
// its room: a header field that HTTP does not allow, or more header bytes than
// the server takes.
type RequestError struct{ Reason string }

// Error says what is wrong with the request.
func (e *RequestError) Error() string { return "h2conn: request cannot be sent: " + e.Reason }

// GoAway is what the server said when it ended the connection (RFC 9113, 6.8).
// As an error it is found with errors.As.
type GoAway struct {
	LastStream uint32 // streams above it were not processed; 2^31-1 says "to be told"
	Code       http2.ErrCode
	Debug      string // at most 1 KiB of what the server added
}

// Error has all of it, with at most 100 bytes of the debug data.
func (g *GoAway) Error() string {
	return fmt.Sprintf("h2conn: server sent GOAWAY, code %v, last stream %d, debug data %q",
		g.Code, g.LastStream, g.Debug[:min(len(g.Debug), 100)])
}

// A violation is a breach of HTTP/2 by the server that ends the connection.
type violation struct {
	code http2.ErrCode
	text string
}

// Error says what the server did, and by which code it is told.
func (v *violation) Error() string {
	return fmt.Sprintf("h2conn: server broke the protocol: %s (%v)", v.text, v.code)
}

func breach(code http2.ErrCode, format string, args ...any) *violation {
	return &violation{code, fmt.Sprintf(format, args...)}
}
