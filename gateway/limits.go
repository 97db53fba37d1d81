package gateway

import (
	"time"

	"apnsbridge/bridge/defaults"
	"apnsbridge/bridge/pace"
)

// Limits are the bounds of one port. A field that is zero stands for its default,
// which package defaults has.
type Limits struct {
	HandshakeTimeout     time.Duration // from accept to the end of the handshake
	Handshakes           int           // at a time
	HandshakesPerAddress int

	// HandshakeRatePerAddress is how many handshakes an address may begin. One above
	// this rate waits for its turn, for half of HandshakeTimeout at most. If it would
	// have to wait longer, the connection is closed at once.
	HandshakeRatePerAddress pace.Rate

	// HelloBytes is the size of the longest ClientHello that is taken. While incomplete
	// it may take 4 KiB; for more it needs one of Handshakes.
	HelloBytes int

	Connections           int
	ConnectionsPerAddress int
	ConnectionsPerClient  int // of one Hello.Client

	// AppConnectionsShare is the part of Connections, in percent, that every Hello.App
	// is entitled to even if others have taken all. Idle connections of apps that have
	// more than that give way.
	AppConnectionsShare int

	// UnparsedBytes is how many bytes a connection may hold that are not yet a frame,
	// and the most that is read in a handshake; never less than 48 KiB.
	UnparsedBytes int

	// LingerIdle is how long a connection that we have ended may stay silent before the
	// provider ends it too. When there is no room for another connection, or the server
	// shuts down, LingerPressed applies instead.
	LingerIdle    time.Duration
	LingerPressed time.Duration

	// LingerTotal is how long such a connection may last in all, however much the
	// provider goes on writing.
	LingerTotal time.Duration

	// FeedbackRatePerClient is how often one Hello.Client may read. A connection above
	// this rate is closed at once, and gets nothing.
	FeedbackRatePerClient pace.Rate

	FeedbackStall time.Duration // how long a reader may take no byte
	FeedbackTotal time.Duration // how long one reader may take in all
}

func (l Limits) withDefaults() Limits {
	orDefault(&l.HandshakeTimeout, defaults.HandshakeTimeout)
	orDefault(&l.Handshakes, defaults.Handshakes)
	orDefault(&l.HandshakesPerAddress, defaults.HandshakesPerAddress)
	l.HandshakeRatePerAddress = l.HandshakeRatePerAddress.Or(
		pace.Rate{Count: defaults.HandshakesASecond, Per: time.Second})
	orDefault(&l.Connections, defaults.Connections)
	orDefault(&l.ConnectionsPerAddress, defaults.ConnectionsPerAddress)
	orDefault(&l.ConnectionsPerClient, defaults.ConnectionsPerClient)
	orDefault(&l.AppConnectionsShare, defaults.AppConnectionsShare)
	orDefault(&l.HelloBytes, defaults.HelloBytes)
	orDefault(&l.UnparsedBytes, defaults.UnparsedBytes)
	orDefault(&l.LingerIdle, defaults.LingerIdle)
	orDefault(&l.LingerPressed, defaults.LingerIdlePressure)
	orDefault(&l.LingerTotal, defaults.LingerTotal)
	l.FeedbackRatePerClient = l.FeedbackRatePerClient.Or(
		pace.Rate{Count: defaults.FeedbackReadingsAMinute, Per: time.Minute})
	orDefault(&l.FeedbackStall, defaults.FeedbackStall)
	orDefault(&l.FeedbackTotal, defaults.FeedbackTotal)
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

// leastUnparsed is what a connection may have to hold when its session has no room: an
// incomplete record, an incomplete frame of ordinary size, and one read of the smallest
// size that makes sense.
const leastUnparsed = maxPlaintext + 8<<10 + 24<<10

// readBuffer is how much a loop reads at a time. Together with the record and the frame
// that were begun before, a connection then holds at most UnparsedBytes.
func (l Limits) readBuffer() int {
	size := 8 << 10
	for size*2 <= 64<<10 && size*2+maxPlaintext+8<<10 <= l.UnparsedBytes {
		size *= 2
	}
	return size
}
