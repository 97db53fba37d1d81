package h2conn

import (
	"io"
	"net"
	"testing"
	"time"
)

// tcpPair returns both ends of a TCP connection.
func tcpPair(t *testing.T) (near, far net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if near, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

// TestPatience sends fewer bytes than are worth waiting for: they are read all the same, when
// patience is over or the connection ends.
func TestPatience(t *testing.T) {
	near, far := tcpPair(t)
	trunk := newTrunk(near, 64<<10)
	trunk.begin(time.Now(), func() int { return 1000 })
	read := func(want int) {
		t.Helper()
		got := 0
		for got < want {
			n, err := trunk.Read(make([]byte, 2000))
			if got += n; err != nil {
				t.Fatalf("got %d bytes and %v, want %d", got, err, want)
			}
		}
	}
	far.Write(make([]byte, 100))
	read(100)
	go far.Write(make([]byte, 100)) // while the reader waits, perhaps beyond its patience
	read(100)
	far.Write(make([]byte, 3000))
	read(3000)
	trunk.patience = time.Hour
	far.Write(make([]byte, 10))
	far.Close()
	read(10)
	if n, err := trunk.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("got %d bytes and %v, want the end", n, err)
	}
}

// TestWorthwhile: patience is worthwhile only where many answers are due.
func TestWorthwhile(t *testing.T) {
	for _, c := range []struct {
		open     int
		answered uint64
		read     uint64
		want     int
	}{
		{open: 1000, answered: 0, read: 4000, want: 1},
		{open: 31, answered: 10, read: 900, want: 1},
		{open: 32, answered: 10, read: 900, want: 8 * 90},
		{open: 100, answered: 10, read: 900, want: 16 * 90},
		{open: 1000, answered: 10, read: 905, want: 128 * 90},
		{open: 9000, answered: 10, read: 900, want: 128 * 90},
		{open: 64, answered: 1, read: 1 << 40, want: 16 * 16 << 10},
	} {
		cfg := Config{}.withDefaults()
		m := newMachine(&cfg)
		m.open, m.stats.Ended[Answered] = c.open, c.answered
		if got := m.worthwhile(c.read); got != c.want {
			t.Errorf("%d open, %d answered with %d bytes: got %d, want %d", c.open, c.answered, c.read, got, c.want)
		}
	}
}
