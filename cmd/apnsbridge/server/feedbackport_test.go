package server

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os/exec"
	"testing"
	"time"

	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/store"
)

const (
	listLen   = 150_000 // 5.7 MB: more than the system buffers, which on Linux is 4 MiB
	listSince = 1_780_000_000
	tupleSize = 38
	stall     = 2 * time.Second // a part of which a reader on a busy machine needs
	stallSoon = time.Second     // for a reader that does stall: the gateway waits three times as long before it hangs up
)

// byRecord reads like OpenSSL: the head of a TLS record, then its body. crypto/tls reads
// as much as there is, so it might read the gateway's end of stream together with the
// last tuples.
type byRecord struct {
	*net.TCPConn
	head []byte
	left int // bytes left of the body
}

func (c *byRecord) Read(b []byte) (int, error) {
	const headLen = 5
	if c.left > 0 {
		n, err := c.TCPConn.Read(b[:min(len(b), c.left)])
		c.left -= n
		return n, err
	}
	n, err := c.TCPConn.Read(b[:min(len(b), headLen-len(c.head))])
	if c.head = append(c.head, b[:n]...); len(c.head) == headLen {
		c.left, c.head = int(binary.BigEndian.Uint16(c.head[3:])), c.head[:0]
	}
	return n, err
}

// reader is a connection to the feedback port that may misbehave.
type reader struct {
	*tls.Conn
	tcp *net.TCPConn
	got *tally
}

func (w *feedbackWorld) dial(t *testing.T, version uint16) *reader {
	t.Helper()
	c, err := net.Dial("tcp", w.Feedback)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	r := &reader{tcp: c.(*net.TCPConn), got: newTally(t)}
	if err := r.tcp.SetReadBuffer(64 << 10); err != nil { // or the kernel might buffer the whole list
		t.Fatal(err)
	}
	config := w.ClientTLS()
	config.ServerName, config.MinVersion, config.MaxVersion = "127.0.0.1", version, version
	r.Conn = tls.Client(&byRecord{TCPConn: r.tcp}, config)
	if err := r.Handshake(); err != nil {
		t.Fatal(err)
	}
	return r
}

// take reads n tuples.
func (r *reader) take(t *testing.T, n int) {
	t.Helper()
	b := make([]byte, n*tupleSize)
	if _, err := io.ReadFull(r, b); err != nil {
		t.Fatal(err)
	}
	r.got.addAll(b)
}

// Whatever readers do that do not read everything, nothing is lost: the list stays whole,
// and a reader that then reads it properly gets each entry exactly once.
//
// There is a test for each version of TLS, as the subtests of a parallel test start behind all
// other tests, and these take long.
func TestFeedbackPortTLS12(t *testing.T) {
	t.Parallel()
	w := newFeedbackWorld(t)
	keepsTheList(t, w, tls.VersionTLS12)
	// The rest does not depend on the version.
	t.Run("stops by count", func(t *testing.T) { stopsByCount(t, w) })
	t.Run("s_client and a short list", func(t *testing.T) { looks(t, w) })
	if got := w.again(t, "demo"); got != listLen {
		t.Errorf("%d entries can be given again, want %d", got, listLen)
	}
	t.Run("reads 8 KiB", func(t *testing.T) { readsEightKiB(t, w) })
}

func TestFeedbackPortTLS13(t *testing.T) {
	t.Parallel()
	keepsTheList(t, newFeedbackWorld(t), tls.VersionTLS13)
}

// keepsTheList has readers that do not read everything, and then one that does.
func keepsTheList(t *testing.T, w *feedbackWorld, version uint16) {
	for _, tt := range []struct {
		name  string
		stall time.Duration
		read  func(*testing.T, *feedbackWorld, uint16)
	}{
		{"two at once", stall, twoAtOnce},
		{"killed half-way", stall, killedHalfWay},
		{"reads once", stall, readsOnce},
		{"stalls", stallSoon, stalls},
		{"s_client with nothing to say", stall, sClient},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.restart(tt.stall) // so that what earlier readers did does not matter
			tt.read(t, w, version)
			w.checkNext(t, "unread")
			w.checkListed(t, listLen)
			w.checkReads(t, version, 0, "refused")
			w.pass(10 * time.Second)
		})
	}
	w.checkReads(t, version, listLen, "confirmed")
	w.checkListed(t, 0)
	w.checkReads(t, version, 0, "empty")
}

// readsEightKiB is a reader that never takes more than 8 KiB. It gets through the list in
// time, and what it has not read stays there.
func readsEightKiB(t *testing.T, w *feedbackWorld) {
	const size = 8 << 10
	confirmed, seen := 0, make(map[uint32]bool)
	for visit := 0; confirmed < 5; visit++ {
		if visit == 20 {
			t.Fatalf("%d of %d visits were confirmed", confirmed, visit)
		}
		r := w.dial(t, tls.VersionTLS12)
		b := make([]byte, size)
		n, err := io.ReadFull(r, b)
		if err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
			r.tcp.Close()
		} else {
			t.Fatal(err)
		}
		for b = b[:n-n%tupleSize]; len(b) > 0; b = b[tupleSize:] {
			seen[binary.BigEndian.Uint32(b[tupleSize-4:])] = true
		}
		if w.next(t) == "confirmed" {
			confirmed++
		}
		left := w.service.store.Stats().FeedbackEntries
		if listLen-left > len(seen) {
			t.Fatalf("visit %d: %d entries have left the list, but only %d were read", visit, listLen-left, len(seen))
		}
		w.pass(10 * time.Second)
	}
}

// twoAtOnce connects two readers at once: the second is closed at once and gets nothing.
func twoAtOnce(t *testing.T, w *feedbackWorld, version uint16) {
	first := w.dial(t, version)
	first.take(t, 1000)
	w.checkReads(t, version, 0, "refused")
	first.take(t, 1000)
	first.Close()
}

func killedHalfWay(t *testing.T, w *feedbackWorld, version uint16) {
	r := w.dial(t, version)
	r.take(t, listLen/2)
	r.tcp.Close()
}

// readsOnce reads once within 100 ms of connecting, like timehop/apns, and must get whole
// tuples.
func readsOnce(t *testing.T, w *feedbackWorld, version uint16) {
	r := w.dial(t, version)
	b := make([]byte, 64<<10)
	n, err := r.Read(b)
	if err != nil || n == 0 {
		t.Errorf("got %d bytes and error %v", n, err)
	}
	r.got.addAll(b[:n])
	r.Close()
}

func stalls(t *testing.T, w *feedbackWorld, version uint16) {
	before := w.service.feedback.Stats().Stalled
	r := w.dial(t, version)
	r.take(t, 1000)
	servertest.WaitFor(t, "the gateway has waited long enough",
		func() bool { return w.service.feedback.Stats().Stalled > before })
	servertest.WaitFor(t, "it has ended the connection", func() bool { return w.service.feedback.Stats().Readers == 0 })
}

func sClient(t *testing.T, w *feedbackWorld, version uint16) {
	flag := map[uint16]string{tls.VersionTLS12: "-tls1_2", tls.VersionTLS13: "-tls1_3"}[version]
	cmd := exec.Command(servertest.Foreign(t, "openssl"), "s_client", "-connect", w.Feedback, flag, "-CAfile",
		w.Path("ca.pem"), "-cert", w.Path("client.pem"), "-key", w.Path("client-key.pem"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%.2000s", err, out)
	}
}

// stopsByCount has readers that know, or think they know, how many tuples there are, and so
// never see our end of stream. Three such reads count as reading if there are so few tuples
// that any reader must have read them.
func stopsByCount(t *testing.T, w *feedbackWorld) {
	const few = 20
	for i := range few {
		dead := store.Dead{Token: listToken(i), Time: time.Unix(int64(listSince+i), 0)}
		if err := w.service.store.Feedback().Record(t.Context(), "demo", dead); err != nil {
			t.Fatal(err)
		}
	}
	for _, end := range []func(*reader){
		func(r *reader) { r.tcp.Close() }, // before the gateway's end of stream has come
		func(r *reader) { // with that unread, which resets the connection
			if _, err := r.tcp.Read(make([]byte, 1)); err != nil {
				t.Error(err)
			}
			r.tcp.Close()
		},
		func(r *reader) { r.Close() },
	} {
		w.checkListed(t, few)
		r := w.dial(t, tls.VersionTLS12)
		r.take(t, few)
		end(r)
		w.checkNext(t, "acknowledged")
		w.pass(10 * time.Second)
	}
	w.checkListed(t, 0)
	w.checkReads(t, tls.VersionTLS12, 0, "empty")
}

// looks is a reader that closes without a sign that it has read. Even if all tuples had
// arrived before, that does not count as reading them, however often it happens.
func looks(t *testing.T, w *feedbackWorld) {
	dead := store.Dead{Token: listToken(0), Time: time.Unix(listSince, 0)}
	if err := w.service.store.Feedback().Record(t.Context(), "demo", dead); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		sClient(t, w, tls.VersionTLS12)
		w.checkNext(t, "unread")
		w.checkListed(t, 1)
		w.pass(10 * time.Second)
	}
	w.checkReads(t, tls.VersionTLS12, 1, "confirmed")
	w.checkListed(t, 0)
}
