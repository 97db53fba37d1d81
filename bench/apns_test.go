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

// apns answers every request with 200 and does next to nothing else, so that it
// is no part of what is measured. It is no simulator: it does not even read the
// headers. What it notes is how long ago a notification was written that has
// the time in it.
type apns struct {
	listener net.Listener
	mute     bool
	running  sync.WaitGroup

	mu    sync.Mutex
	taken []time.Duration
}

// delays are what "delays" says of the notifications since it was last asked.
type delays struct {
	Count          int
	P50, P99, Most time.Duration
}

func startAPNs(s setting) (part, string, error) {
	certificate, _, err := serverIdentity(s.PKI)
	if err != nil {
		return nil, "", err
	}
	a := &apns{mute: s.Mute}
	a.listener, err = tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2"}})
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
	a.mu.Lock()
	all := a.taken
	a.taken = nil
	a.mu.Unlock()
	if len(all) == 0 {
		return answer{}, nil
	}
	slices.Sort(all)
	return answer{Delays: delays{Count: len(all), P50: all[len(all)/2], P99: all[len(all)*99/100], Most: all[len(all)-1]}}, nil
}

// close is called when the clients are gone, and with them all goroutines.
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
			a.note(f.Data())
			if f.StreamEnded() && !a.mute {
				const status200 = 0x80 | 8 // RFC 7541, appendix A
				framer.WriteHeaders(http2.HeadersFrameParam{StreamID: f.StreamID, BlockFragment: []byte{status200}, EndHeaders: true, EndStream: true})
			}
			if used += f.Length; used > apnsWindow/4 {
				framer.WriteWindowUpdate(0, used)
				used = 0
			}
		}
	}
}

// note takes the time in a payload, if there is one.
func (a *apns) note(payload []byte) {
	if len(payload) < stampAt+stampSize {
		return
	}
	nanos, err := strconv.ParseInt(string(payload[stampAt:stampAt+stampSize]), 10, 64)
	if err != nil {
		return
	}
	taken := time.Since(time.Unix(0, nanos))
	a.mu.Lock()
	a.taken = append(a.taken, taken)
	a.mu.Unlock()
}
