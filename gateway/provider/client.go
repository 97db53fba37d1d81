package provider

import (
	"context"
	"crypto/tls"
	"iter"
	"time"

	"apnsbridge/binproto"
)

// Client sends notifications as a careful provider does: over one connection,
// without waiting, and after an error packet everything behind the named one
// again over another connection.
//
// All fields but Addr and TLS may be left alone.
type Client struct {
	Addr string // "host:port" of the gateway
	TLS  *tls.Config

	// Number gives the notifications the identifiers 1, 2, … in place of their
	// own. Simple ones have none and are never sent again.
	Number bool

	// Remember is how many notifications are held, written or not: an error
	// packet for one that is further back finds nothing to send again. By
	// default 100,000; half of it is for those not written yet.
	Remember int

	// Quiet is how long the connection stays open after the last notification,
	// because a gateway may have nothing more to say to a provider that has ended
	// its side. By default 1 s; less than 0 for not at all.
	Quiet time.Duration

	// Linger is how long the gateway may then take to end its own side. By
	// default 30 s.
	Linger time.Duration

	// Attempts is how many connections in a row may fail, or end without a
	// packet that brings Send forward, until it gives up. By default 10, which
	// is some 10 s. The very first one has to succeed.
	Attempts int

	// Turn, if set, is called once for each time that a notification is written, also
	// for those that are written again, and returns how long that has to wait. It limits
	// the rate.
	Turn func() time.Duration

	// Progress, if set, is called after each write, of many notifications as a rule.
	Progress func(Report)

	// Packet, if set, is called for each error packet. It is never called at the
	// same time as Progress.
	Packet func(Packet)
}

// Packet is an error packet and what it is about.
type Packet struct {
	binproto.Response
	Index int    // the named notification's place in what was sent, from 0; -1 if it is not known
	Token []byte // its device token; the callee's to keep
}

// Report counts notifications. Each that was taken has been accepted, but for
// those that are Failed, Uncertain or Forgotten.
type Report struct {
	Taken       int // from the caller
	Written     int // to a connection, each time
	Resent      int // of these, again
	Failed      int // named by an error packet
	Uncertain   int // on a connection that ended without a packet, or with one that names nothing we know
	Forgotten   int // behind a failure and no longer remembered: at most so many were lost
	Connections int
	Packets     int
	End         error // why the last connection ended that was to go on, if it was not a packet
}

const (
	defaultRemember = 100_000
	defaultQuiet    = time.Second
	defaultLinger   = 30 * time.Second
	defaultAttempts = 10

	// farewell is how long a connection lasts behind its error packet, so that
	// what is on its way arrives and no reset is seen.
	farewell = time.Second

	firstPause, longestPause = 100 * time.Millisecond, 2 * time.Second
)

// Send sends what notes yields, in order, and returns when the gateway has had
// its last say. What a notification points to is borrowed until it is taken. Send
// does not return while notes waits for something.
//
// The report is good also beside an error, which says why not all was sent.
func (c *Client) Send(ctx context.Context, notes iter.Seq[binproto.Notification]) (Report, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := newSending(c.withDefaults())
	go func() {
		defer close(s.done)
		s.err = s.run(ctx)
	}()
	s.takeAll(notes)
	<-s.done
	return s.snapshot(), s.err
}

func (c *Client) withDefaults() Client {
	d := *c
	d.Remember = orDefault(c.Remember, defaultRemember)
	d.Quiet = orDefault(c.Quiet, defaultQuiet)
	d.Linger = orDefault(c.Linger, defaultLinger)
	d.Attempts = orDefault(c.Attempts, defaultAttempts)
	return d
}

func orDefault[T int | time.Duration](v, byDefault T) T {
	if v == 0 {
		return byDefault
	}
	return v
}
