package gateway

import (
	"time"

	"apnsbridge/pace"
)

// Limits are the bounds of one port. A field that is zero stands for its
// default.
type Limits struct {
	HandshakeTimeout     time.Duration // from accept to the end of the handshake; 10 s
	Handshakes           int           // at a time; 256
	HandshakesPerAddress int           // 32

	// HandshakeRatePerAddress is what an address may begin; 500 a second. What is
	// over it waits for its turn, for half of HandshakeTimeout at most: whoever
	// would have to wait longer is closed at once.
	HandshakeRatePerAddress pace.Rate

	// HelloBytes is the longest ClientHello; 16 KiB. One that is not complete may
	// have 4 KiB, and needs one of Handshakes for more.
	HelloBytes int

	Connections           int // 10,000
	ConnectionsPerAddress int // 1,000
	ConnectionsPerClient  int // 5,000, of one Hello.Client

	// AppConnectionsShare is the part of Connections, in percent, that every
	// Hello.App gets though others have taken all; 10. Idle connections of apps
	// that have more give way.
	AppConnectionsShare int

	// UnparsedBytes is what a connection may hold that is not yet a frame, and
	// the most that is read in a handshake; 64 KiB, and never less than 48 KiB.
	UnparsedBytes int

	// LingerIdle is how long a connection that we have ended may be silent
	// before the provider ends it too; 10 min. When there is no room for another
	// connection, or the server shuts down, it is LingerPressed; 5 s.
	LingerIdle    time.Duration
	LingerPressed time.Duration

	// LingerTotal is how long such a connection lives in all, however much the
	// provider goes on writing; 1 h.
	LingerTotal time.Duration

	// FeedbackRatePerClient is how often one Hello.Client may read; 600 a minute.
	// What is over it is closed at once, empty.
	FeedbackRatePerClient pace.Rate

	FeedbackStall time.Duration // without a byte taken by the reader; 60 s
	FeedbackTotal time.Duration // for one reader in all; 10 min
}

func (l Limits) withDefaults() Limits {
	orDefault(&l.HandshakeTimeout, 10*time.Second)
	orDefault(&l.Handshakes, 256)
	orDefault(&l.HandshakesPerAddress, 32)
	l.HandshakeRatePerAddress = l.HandshakeRatePerAddress.Or(pace.Rate{Count: 500, Per: time.Second})
	orDefault(&l.Connections, 10_000)
	orDefault(&l.ConnectionsPerAddress, 1_000)
	orDefault(&l.ConnectionsPerClient, 5_000)
	orDefault(&l.AppConnectionsShare, 10)
	orDefault(&l.HelloBytes, 16<<10)
	orDefault(&l.UnparsedBytes, 64<<10)
	orDefault(&l.LingerIdle, 10*time.Minute)
	orDefault(&l.LingerPressed, 5*time.Second)
	orDefault(&l.LingerTotal, time.Hour)
	l.FeedbackRatePerClient = l.FeedbackRatePerClient.Or(pace.Rate{Count: 600, Per: time.Minute})
	orDefault(&l.FeedbackStall, time.Minute)
	orDefault(&l.FeedbackTotal, 10*time.Minute)
	l.UnparsedBytes = max(l.UnparsedBytes, leastUnparsed)
	return l
}

func orDefault[T int | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

// maxPlaintext is the most that one TLS record holds (RFC 8446, section 5.1).
const maxPlaintext = 16 << 10

// leastUnparsed is what a connection can hold when its session has no room: a
// record that is not complete, an ordinary frame that is not complete, and one
// read of the smallest size that is worth it.
const leastUnparsed = maxPlaintext + 8<<10 + 24<<10

// readBuffer is how much a loop reads at a time, so that with the record and
// the frame that were begun before, a connection holds UnparsedBytes at most.
func (l Limits) readBuffer() int {
	size := 8 << 10
	for size*2 <= 64<<10 && size*2+maxPlaintext+8<<10 <= l.UnparsedBytes {
		size *= 2
	}
	return size
}
