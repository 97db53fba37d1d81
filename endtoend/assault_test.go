package endtoend

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// assault is what strangers and a revoked client do to a process, from twenty
// addresses, until stop is closed.
type assault struct {
	t       *testing.T
	target  string
	hello   []byte
	stop    chan struct{}
	running sync.WaitGroup

	halfOpen, hellos, floods, trickled atomic.Int64
}

func attackerAddress(i int) string { return fmt.Sprintf("127.0.2.%d", 1+i%attackers) }

// hang holds a connection until the gateway or the test ends it.
func (a *assault) hang(c net.Conn) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		io.Copy(io.Discard, c)
	}()
	select {
	case <-ended:
	case <-a.stop:
	}
	c.Close()
	<-ended
}

// leaveHalfOpen sends a whole hello, all but its end, or nothing, and then stays silent.
func (a *assault) leaveHalfOpen(i int) {
	c, err := a.dial(i)
	if err != nil {
		return
	}
	a.halfOpen.Add(1)
	c.Write(a.hello[:[]int{len(a.hello), len(a.hello) - 1, 0}[i%3]])
	a.hang(c)
}

// sayTooMuch sends a hello of 64 KB that has no end. By turns it is one that declares
// this size at once, and one that claims to have 16,000 bytes and comes in small records.
func (a *assault) sayTooMuch(i int) {
	c, err := a.dial(i)
	if err != nil {
		return
	}
	a.hellos.Add(1)
	size, record := 1<<24-1, 16000
	if i%2 == 0 {
		size, record = 15_990, 100
	}
	message := append([]byte{1, byte(size >> 16), byte(size >> 8), byte(size)}, make([]byte, 64_000)...)
	var b []byte
	for len(message) >= record {
		b = append(append(b, 22, 3, 1, byte(record>>8), byte(record)), message[:record]...)
		message = message[record:]
		if size < 16_000 && len(b) > 14_000 {
			break
		}
	}
	c.SetWriteDeadline(time.Now().Add(5 * time.Second))
	c.Write(b)
	a.hang(c)
}

// floodLog shows an unknown certificate with a long name.
func (a *assault) floodLog(i int, certificate *tls.Certificate) {
	c, err := a.dial(i)
	if err != nil {
		return
	}
	defer c.Close()
	a.floods.Add(1)
	c.SetDeadline(time.Now().Add(5 * time.Second))
	conn := tls.Client(c, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{*certificate}})
	conn.Handshake()
	conn.Read(make([]byte, 1))
}
