package gateway

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/gateway/identity"
)

// fail counts and logs why there will be no session, and closes the connection in a way that
// lets the client read the alert.
func (a *arrival) fail(err error) {
	defer a.tcp.Close()
	c := &a.front.counters
	switch {
	case errors.Is(a.refusal, errClientFull):
		c.overLimitPerClient.Add(1)
		a.log(a.front.seldom.Warn()).Int("connections_per_client", a.front.limits.ConnectionsPerClient).
			Msg("no room for another connection of this client")
	case errors.Is(a.refusal, errFull):
		c.overLimit.Add(1)
		a.log(a.front.often.Warn()).Int("connections", a.front.limits.Connections).
			Str("app", a.hello.App).Msg("no room for another connection of this app")
	case a.refusal != nil:
		c.refused.Add(1)
		a.log(a.front.often.Warn()).AnErr("reason", a.refusal).Msg("client refused")
	case errors.Is(err, errGaveWay):
		a.log(a.front.often.Warn()).Str("app", a.hello.App).Bool("unread", a.stake > noLoss).
			Msg("connection ended before there was a session: an app with less than its share needed its place")
	case a.evicted.Load():
		a.log(a.front.often.Info()).Msg("handshake dropped: others needed its place")
		return
	case a.dropped.Load():
		c.dropped.Add(1)
		a.log(a.front.often.Info()).Msg("handshake dropped: others needed its place")
		return
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		c.timedOut.Add(1)
		a.log(a.front.often.Debug()).Msg("handshake not done in time")
		return
	case a.front.ctx.Err() != nil:
		return
	case errors.Is(err, errAddressFull):
		a.tooMany()
	case errors.Is(err, errOverRate):
		c.overRate.Add(1)
		a.log(a.front.seldom.Warn()).Err(err).Msg("handshake refused")
	default:
		c.failed.Add(1)
		c.spoke(a.spoken)
		if errors.Is(err, errNoProxyHeader) || errors.Is(err, errBadProxyHeader) {
			c.badProxyHeaders.Add(1)
		}
		if a.mistrusted(err) {
			break
		}
		e := a.front.often.Info()
		speaks, remedy := a.diagnosis(err)
		switch {
		case remedy != "":
			e = a.front.often.Warn().Str("speaks", speaks).Str("remedy", remedy)
			a.front.failed(&a.hello, "the client speaks "+speaks, remedy)
		case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
			e = a.front.often.Debug() // a port scan, or the health check of a load balancer
		}
		a.log(e).Str("error", identity.Clip(err.Error())).Msg("handshake failed")
	}
	a.farewell()
}

// tooMany counts and logs a connection that was one too many for its address.
func (a *arrival) tooMany() {
	a.front.counters.overLimitPerAddress.Add(1)
	a.log(a.front.often.Warn()).Int("connections_per_address", a.front.limits.ConnectionsPerAddress).
		Msg("no room for another connection from this address")
}

// farewell lets the client read the alert, if there is one: closing with unread bytes
// would send a reset that overtakes it.
func (a *arrival) farewell() {
	const patience, most = 500 * time.Millisecond, 64 << 10
	if a.wire == nil {
		return
	}
	if a.stream != nil {
		a.stream.CloseWrite()
	}
	if a.tcp.CloseWrite() != nil || a.tcp.SetReadDeadline(time.Now().Add(patience)) != nil {
		return
	}
	io.CopyN(io.Discard, a.tcp, most)
}

func (a *arrival) log(e *zerolog.Event) *zerolog.Event {
	e = e.Stringer("address", a.hello.Remote)
	if a.via.IsValid() {
		e = e.Stringer("via", a.via)
	}
	if a.hello.Label != "" {
		e = e.Str("listener", a.hello.Label)
	}
	if a.hello.ServerName != "" {
		e = e.Str("name", identity.Clip(a.hello.ServerName))
	}
	if a.hello.Version != 0 {
		e = e.Str("tls", tls.VersionName(a.hello.Version))
	}
	if len(a.hello.Chain) > 0 {
		leaf := a.hello.Chain[0]
		sum := sha256.Sum256(leaf.Raw)
		e = e.Str("sha256", hex.EncodeToString(sum[:])).Str("subject", identity.Subject(leaf))
	}
	return e
}
