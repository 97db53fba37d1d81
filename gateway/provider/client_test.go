package provider

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"apnsbridge/binproto"
)

// token is a device token that can be told from others.
func token(i int) []byte { return binary.BigEndian.AppendUint32(make([]byte, 28), uint32(i)) }

// notes yields n notifications with the tokens 0, 1, …
func notes(command binproto.Command, n int) iter.Seq[binproto.Notification] {
	return func(yield func(binproto.Notification) bool) {
		for i := range n {
			if !yield(binproto.Notification{Command: command, Token: token(i), Payload: []byte(`{"aps":{}}`)}) {
				return
			}
		}
	}
}

// sendAll sends n numbered notifications and gives the packets that came.
func sendAll(t *testing.T, c *Client, command binproto.Command, n int) (Report, []Packet, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var packets []Packet
	c.Number = true
	c.Packet = func(p Packet) { packets = append(packets, p) }
	r, err := c.Send(ctx, notes(command, n))
	return r, packets, err
}

func TestSend(t *testing.T) {
	const bad = binproto.InvalidToken
	for _, tt := range []struct {
		name          string
		command       binproto.Command
		n             int
		conversations [][]step
		want          Report
		packets       []binproto.Response
		indices       []int
	}{
		{
			"nothing", binproto.Enhanced, 0, nil, Report{}, nil, nil,
		},
		{
			"all is well", binproto.Enhanced, 3,
			[][]step{{expect(1, 3), expectEnd, end}},
			Report{Taken: 3, Written: 3, Connections: 1}, nil, nil,
		},
		{
			"framed", binproto.Framed, 3,
			[][]step{{expect(1, 3), expectEnd, end}},
			Report{Taken: 3, Written: 3, Connections: 1}, nil, nil,
		},
		{
			"simple", binproto.Simple, 3,
			[][]step{{count(3), expectEnd, end}},
			Report{Taken: 3, Written: 3, Connections: 1}, nil, nil,
		},
		{
			"many", binproto.Enhanced, 10000,
			[][]step{{expect(1, 10000), expectEnd, end}},
			Report{Taken: 10000, Written: 10000, Connections: 1}, nil, nil,
		},
		{
			"one bad token", binproto.Enhanced, 5,
			[][]step{{expect(1, 5), refuse(bad, 3), end, rest}, {expect(4, 5), expectEnd, end}},
			Report{Taken: 5, Written: 7, Resent: 2, Failed: 1, Connections: 2, Packets: 1},
			[]binproto.Response{{Status: bad, Identifier: 3}}, []int{2},
		},
		{
			"the packet comes behind our end", binproto.Framed, 5,
			[][]step{{expect(1, 5), expectEnd, refuse(bad, 1), end}, {expect(2, 5), expectEnd, end}},
			Report{Taken: 5, Written: 9, Resent: 4, Failed: 1, Connections: 2, Packets: 1},
			[]binproto.Response{{Status: bad, Identifier: 1}}, []int{0},
		},
		{
			"the last one is bad", binproto.Enhanced, 2,
			[][]step{{expect(1, 2), refuse(bad, 2), end, rest}},
			Report{Taken: 2, Written: 2, Failed: 1, Connections: 1, Packets: 1},
			[]binproto.Response{{Status: bad, Identifier: 2}}, []int{1},
		},
		{
			"two bad ones", binproto.Enhanced, 4,
			[][]step{{expect(1, 4), refuse(bad, 1), end, rest}, {expect(2, 4), refuse(bad, 3), end, rest},
				{expect(4, 4), expectEnd, end}},
			Report{Taken: 4, Written: 8, Resent: 4, Failed: 2, Connections: 3, Packets: 2},
			[]binproto.Response{{Status: bad, Identifier: 1}, {Status: bad, Identifier: 3}}, []int{0, 2},
		},
		{
			"shutdown names the last that was sent", binproto.Enhanced, 3,
			[][]step{{expect(1, 3), refuse(binproto.Shutdown, 2), end, rest}, {expect(3, 3), expectEnd, end}},
			Report{Taken: 3, Written: 4, Resent: 1, Connections: 2, Packets: 1},
			[]binproto.Response{{Status: binproto.Shutdown, Identifier: 2}}, []int{1},
		},
		{
			"a packet and a reset", binproto.Enhanced, 3,
			[][]step{{expect(1, 3), refuse(bad, 2), reset}, {expect(3, 3), expectEnd, end}},
			Report{Taken: 3, Written: 4, Resent: 1, Failed: 1, Connections: 2, Packets: 1},
			[]binproto.Response{{Status: bad, Identifier: 2}}, []int{1},
		},
		{
			"simple ones are never sent again", binproto.Simple, 3,
			[][]step{{count(3), refuse(bad, 0), end, rest}},
			Report{Taken: 3, Written: 3, Uncertain: 3, Connections: 1, Packets: 1},
			[]binproto.Response{{Status: bad}}, []int{-1},
		},
		{
			"a FIN without close_notify is an end", binproto.Enhanced, 1,
			[][]step{{expect(1, 1), expectEnd, cut}},
			Report{Taken: 1, Written: 1, Connections: 1}, nil, nil,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, packets, err := sendAll(t, serve(t, tt.conversations...), tt.command, tt.n)
			if err != nil || got != tt.want {
				t.Errorf("got %+v and error %v, want %+v", got, err, tt.want)
			}
			if len(packets) != len(tt.packets) {
				t.Fatalf("got packets %v, want %v", packets, tt.packets)
			}
			for i, p := range packets {
				if p.Response != tt.packets[i] || p.Index != tt.indices[i] {
					t.Errorf("got packet %+v, want %+v for index %d", p, tt.packets[i], tt.indices[i])
				}
				if p.Index >= 0 && !bytes.Equal(p.Token, token(p.Index)) {
					t.Errorf("got token %x, want %x", p.Token, token(p.Index))
				}
			}
		})
	}
}

// A connection that ends without a word takes what was written with it, and
// what was not goes over the next one.
func TestSendBareEnd(t *testing.T) {
	for name, how := range map[string][]step{"close_notify": {end, rest}, "FIN": {cut, rest}, "reset": {reset}} {
		t.Run(name, func(t *testing.T) {
			over := make(chan struct{})
			first := slices.Concat([]step{expect(1, 1)}, how, []step{func(*apple) error { close(over); return nil }})
			c := serve(t, first, []step{expect(2, 2), expectEnd, end})
			c.Number = true
			got, err := c.Send(context.Background(), func(yield func(binproto.Notification) bool) {
				for n := range notes(binproto.Enhanced, 2) {
					yield(n)
					<-over
				}
			})
			if got.End == nil || !strings.Contains(got.End.Error(), c.Addr) {
				t.Errorf("got %v as the reason, want one that names the gateway", got.End)
			}
			got.End = nil
			if want := (Report{Taken: 2, Written: 2, Uncertain: 1, Connections: 2}); err != nil || got != want {
				t.Errorf("got %+v and error %v, want %+v", got, err, want)
			}
		})
	}
}

// Every writing has its turn: of what was taken meanwhile, and what is written again, no more
// comes over the next connection than over the one before.
func TestSendTurns(t *testing.T) {
	c := serve(t, []step{expect(1, 5), refuse(binproto.InvalidToken, 3), end, rest}, []step{expect(4, 5), expectEnd, end})
	turns := 0
	c.Turn = func() time.Duration {
		turns++
		return time.Millisecond
	}
	got, _, err := sendAll(t, c, binproto.Enhanced, 5)
	if err != nil || got.Resent != 2 || turns != got.Written {
		t.Errorf("got %+v and error %v with %d turns, want one for each that was written", got, err, turns)
	}
}

// A packet that comes while the next notification waits for its turn is heard at once, and
// nothing is written before that.
func TestSendBeforeItsTurn(t *testing.T) {
	c := serve(t, []step{expect(1, 2), refuse(binproto.InvalidToken, 1), rest})
	c.Number = true
	left := 2
	c.Turn = func() time.Duration {
		if left--; left >= 0 {
			return 0
		}
		return time.Hour
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c.Packet = func(Packet) { cancel() }
	got, err := c.Send(ctx, notes(binproto.Enhanced, 3))
	if !errors.Is(err, context.Canceled) || got.Packets != 1 || got.Written != 2 {
		t.Errorf("got %+v and error %v, want a packet and two that were written", got, err)
	}
}

// The first connection has to succeed.
func TestSendNobodyThere(t *testing.T) {
	c := &Client{Addr: "127.0.0.1:1"} // a port of one that has closed is soon another's
	r, _, err := sendAll(t, c, binproto.Enhanced, 3)
	if err == nil || !strings.Contains(err.Error(), c.Addr) || r.Connections != 0 {
		t.Errorf("got %+v and error %v, want one that names the address", r, err)
	}
}

// A provider whose certificate is not wanted need not try again.
func TestSendRefused(t *testing.T) {
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			refusing := &tls.Config{ClientAuth: tls.RequireAnyClientCert, MaxVersion: version,
				VerifyConnection: func(tls.ConnectionState) error { return errors.New("not this one") }}
			shaken := func(a *apple) error {
				if err := a.Handshake(); err == nil {
					return errors.New("the handshake succeeded")
				}
				return rest(a) // so that no reset overtakes the alert
			}
			_, _, err := sendAll(t, serveTLS(t, refusing, []step{shaken}), binproto.Enhanced, 3)
			if err == nil || !strings.Contains(err.Error(), "bad certificate") {
				t.Errorf("got error %v, want the alert", err)
			}
		})
	}
}

// A gateway that ends one connection after another is given up.
func TestSendGivesUp(t *testing.T) {
	c := serve(t, []step{handshake, end, rest}, []step{handshake, end, rest}, []step{handshake, end, rest})
	c.Attempts = 3
	c.Number = true
	r, err := c.Send(context.Background(), func(yield func(binproto.Notification) bool) {
		for i := 0; yield(binproto.Notification{Command: binproto.Enhanced, Token: token(i), Payload: []byte("{}")}); i++ {
		}
	})
	if err == nil || !strings.Contains(err.Error(), "3 connections in a row") || r.Connections != 3 {
		t.Errorf("got %+v and error %v, want an end after 3 connections", r, err)
	}
}

// What is further back than Remember is not sent again, and counted.
func TestSendForgotten(t *testing.T) {
	c := serve(t, []step{expect(1, 100), refuse(binproto.InvalidToken, 5), end, rest},
		[]step{expect(91, 100), expectEnd, end})
	c.Remember = 10
	got, _, err := sendAll(t, c, binproto.Enhanced, 100)
	want := Report{Taken: 100, Written: 110, Resent: 10, Forgotten: 90, Connections: 2, Packets: 1}
	if err != nil || got != want {
		t.Errorf("got %+v and error %v, want %+v", got, err, want)
	}
}

// A packet in the quiet time is heard before our end.
func TestSendQuiet(t *testing.T) {
	c := serve(t, []step{expect(1, 3), refuse(binproto.InvalidToken, 3), end, expectEnd})
	c.Quiet = patience
	start := time.Now()
	got, packets, err := sendAll(t, c, binproto.Enhanced, 3)
	if err != nil || len(packets) != 1 || got.Failed != 1 {
		t.Errorf("got %+v, packets %v and error %v, want one failure", got, packets, err)
	}
	if time.Since(start) >= patience {
		t.Error("waited although all was said")
	}
}

// A gateway that never ends its side is not waited for for ever.
func TestSendLinger(t *testing.T) {
	gone := make(chan struct{})
	c := serve(t, []step{expect(1, 3), expectEnd, func(*apple) error { <-gone; return nil }})
	defer close(gone)
	c.Linger = time.Millisecond
	got, _, err := sendAll(t, c, binproto.Enhanced, 3)
	if err == nil || !strings.Contains(err.Error(), "within 1ms") || got.Uncertain != 3 {
		t.Errorf("got %+v and error %v, want one that names the time", got, err)
	}
}

func TestSendCancelled(t *testing.T) {
	reached := make(chan struct{})
	c := serve(t, []step{expect(1, 3), func(a *apple) error {
		close(reached)
		return rest(a)
	}})
	c.Number = true
	c.Quiet = patience
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-reached
		cancel()
	}()
	r, err := c.Send(ctx, notes(binproto.Enhanced, 3))
	if !errors.Is(err, context.Canceled) || r.Uncertain != 3 {
		t.Errorf("got %+v and error %v, want %v", r, err, context.Canceled)
	}
}

// A notification is written at once, also if the next one is not there yet.
func TestSendSlowSource(t *testing.T) {
	arrived := make(chan struct{}, 3)
	one := func(i uint32) []step {
		return []step{expect(i, i), func(*apple) error { arrived <- struct{}{}; return nil }}
	}
	c := serve(t, slices.Concat(one(1), one(2), one(3), []step{expectEnd, end}))
	c.Number = true
	_, err := c.Send(context.Background(), func(yield func(binproto.Notification) bool) {
		for n := range notes(binproto.Enhanced, 3) {
			yield(n)
			<-arrived
		}
	})
	if err != nil {
		t.Error(err)
	}
}

// Without Number the identifiers are the caller's, and go again as they were.
func TestSendOwnIdentifiers(t *testing.T) {
	c := serve(t, []step{expect(7, 9), refuse(binproto.InvalidToken, 7), end, rest}, []step{expect(8, 9), expectEnd, end})
	r, err := c.Send(context.Background(), func(yield func(binproto.Notification) bool) {
		for n := range notes(binproto.Framed, 3) {
			n.Identifier, n.HasIdentifier = binary.BigEndian.Uint32(n.Token[28:])+7, true
			yield(n)
		}
	})
	if err != nil || r.Resent != 2 {
		t.Errorf("got %+v and error %v, want 2 sent again", r, err)
	}
}

// With an Apple that drops everything behind a bad token, each good one arrives
// once and each bad one is named once.
func TestSendAgainUntilAllArrived(t *testing.T) {
	const n = 2000
	isBad := func(i int) bool { return i%20 == 7 }
	var mu sync.Mutex
	accepted := make([]int, n)
	strict := func(a *apple) error {
		for {
			var note binproto.Notification
			if err := a.frame(&note); err == io.EOF {
				return end(a)
			} else if err != nil {
				return err
			}
			if isBad(int(binary.BigEndian.Uint32(note.Token[28:]))) {
				return errors.Join(refuse(binproto.InvalidToken, note.Identifier)(a), end(a), rest(a))
			}
			mu.Lock()
			accepted[note.Identifier-1]++
			mu.Unlock()
		}
	}
	c := serve(t, slices.Repeat([][]step{{strict}}, n/20+1)...)
	got, packets, err := sendAll(t, c, binproto.Framed, n)
	if err != nil || got.Failed != n/20 || got.Uncertain != 0 || len(packets) != n/20 {
		t.Errorf("got %+v and error %v, want %d failed", got, err, n/20)
	}
	for _, p := range packets {
		if !isBad(p.Index) {
			t.Errorf("notification %d was named, which is a good one", p.Index)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for i, times := range accepted {
		if isBad(i) && times != 0 || !isBad(i) && times != 1 {
			t.Errorf("notification %d (bad: %v) was accepted %d times", i, isBad(i), times)
		}
	}
}
