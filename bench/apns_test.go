package bench

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// apns answers every request with 200, except for notifications in a mood, and does
// next to nothing else, so that its own cost does not matter. It is not a simulator: it
// does not even read the headers. For notifications with the time in them it notes how
// long ago they were written.
type apns struct {
	listener net.Listener
	mute     bool
	calm     bool // it ignores moods
	running  sync.WaitGroup

	mu    sync.Mutex
	taken []time.Duration
	first int64  // when the first notification came, in nanoseconds since 1970; 0: none has
	asked []bool // which numbers in the mood once have come: a map of a million took half of its time
}

// mood tells apns how to answer a notification. It stands in place of the time, in the
// first bytes of the text.
type mood string

const (
	throttles mood = "429 " // 429 each time
	fails     mood = "503 " // 503 each time
	refuses   mood = "400 " // its topic is refused each time
	once      mood = "once" // 429 at the first attempt only
)

// reasons are the reasons that APNs gives.
var reasons = map[mood]string{throttles: "TooManyRequests", fails: "ServiceUnavailable", refuses: "TopicDisallowed"}

// delays is the answer to the order "delays", for the notifications since the last one.
type delays struct {
	Count          int
	P50, P99, Most time.Duration
}

func startAPNs(s setting) (part, string, error) {
	certificate, _, err := serverIdentity(s.PKI)
	if err != nil {
		return nil, "", err
	}
	a := &apns{mute: s.Mute, calm: s.Calm}
	a.listener, err = tls.Listen("tcp", "127.0.0.1:0",
		&tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2"}})
	if err != nil {
		return nil, "", err
	}
	a.running.Go(func() {
		for {
			c, err := a.listener.Accept()
			if err != nil {
				return
			}
			a.running.Go(func() {
				defer c.Close()
				if err := a.serve(c); !errors.Is(err, io.EOF) {
					fmt.Fprintln(os.Stderr, "apns:", err)
				}
			})
		}
	})
	return a, a.listener.Addr().String(), nil
}

func (a *apns) do(o order) (answer, error) {
	if o.Do != "delays" {
		return answer{}, errOrder(o)
	}
	var all []time.Duration
	err := await(func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		if len(a.taken) < o.Count {
			return false
		}
		all, a.taken = a.taken, nil
		return true
	})
	a.mu.Lock()
	said := answer{First: a.first}
	a.mu.Unlock()
	if len(all) == 0 || err != nil {
		return said, err
	}
	slices.Sort(all)
	said.Delays = delays{Count: len(all), P50: all[len(all)/2], P99: all[len(all)*99/100], Most: all[len(all)-1]}
	return said, nil
}

// close is called when the clients have gone, so that all goroutines end.
func (a *apns) close() {
	a.listener.Close()
	a.running.Wait()
}

const (
	apnsBuffer = 64 << 10
	apnsWindow = 1 << 30
)

func (a *apns) serve(c net.Conn) error {
	r, w := bufio.NewReaderSize(c, apnsBuffer), bufio.NewWriterSize(c, apnsBuffer)
	if _, err := r.Discard(len(http2.ClientPreface)); err != nil {
		return err
	}
	framer := http2.NewFramer(w, r)
	framer.SetReuseFrames()
	framer.WriteSettings(
		http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1000},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: apnsWindow})
	framer.WriteWindowUpdate(0, apnsWindow)
	used := uint32(0)
	for {
		if r.Buffered() == 0 {
			if err := w.Flush(); err != nil {
				return err
			}
		}
		f, err := framer.ReadFrame()
		if err != nil {
			return err
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				framer.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				framer.WritePing(true, f.Data)
			}
		case *http2.DataFrame:
			m := a.note(f.Data())
			if f.StreamEnded() && !a.mute {
				answerIn(m, framer, f.StreamID)
			}
			if used += f.Length; used > apnsWindow/4 {
				framer.WriteWindowUpdate(0, used)
				used = 0
			}
		}
	}
}

// answerIn answers a request in a mood.
func answerIn(m mood, framer *http2.Framer, stream uint32) {
	reason := reasons[m]
	if reason == "" {
		const status200 = 0x80 | 8 // RFC 7541, appendix A
		framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: []byte{status200}, EndHeaders: true,
			EndStream: true})
		return
	}
	status := append([]byte{8, 3}, m[:3]...) // a literal without indexing, with the name of entry 8
	framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: status, EndHeaders: true})
	framer.WriteData(stream, true, []byte(`{"reason":"`+reason+`"}`))
}

// note notes the time in a payload, if there is one; otherwise it returns its mood.
func (a *apns) note(payload []byte) mood {
	if len(payload) < stampAt+stampSize {
		return ""
	}
	stamp := string(payload[stampAt : stampAt+stampSize])
	nanos, err := strconv.ParseInt(stamp, 10, 64)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.first == 0 {
		a.first = time.Now().UnixNano()
	}
	m := mood(stamp[:len(once)])
	switch {
	case err == nil:
		a.taken = append(a.taken, time.Since(time.Unix(0, nanos)))
		return ""
	case a.calm:
		return ""
	case m == once && a.isFirst(stamp[len(once):]):
		return throttles
	}
	return m
}

// isFirst reports whether the notification of that number has come for the first time. a.mu is held.
func (a *apns) isFirst(number string) bool {
	n, err := strconv.Atoi(number)
	if err != nil {
		panic(err)
	}
	a.asked = append(a.asked, make([]bool, max(0, n+1-len(a.asked)))...)
	first := !a.asked[n]
	a.asked[n] = true
	return first
}
