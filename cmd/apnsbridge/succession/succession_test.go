package succession

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// A socket is recognised as the one that is asked for, however its address is written.
func TestListensOn(t *testing.T) {
	for _, tt := range []struct {
		listens, address string
		want             bool
	}{
		{"127.0.0.1:0", "127.0.0.1:%", true},
		{"127.0.0.1:0", "localhost:%", true},
		{"127.0.0.1:0", ":%", false},
		{"127.0.0.1:0", "127.0.0.2:%", false},
		{"127.0.0.1:0", "127.0.0.1:1", false},
		{":0", ":%", true},
		{":0", "0.0.0.0:%", true},
		{":0", "[::]:%", true},
		{":0", "127.0.0.1:%", false},
		{":0", "no such host:%", false},
	} {
		l, err := net.Listen("tcp", tt.listens)
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(l.Addr().String())
		address := tt.address
		if address[len(address)-1] == '%' {
			address = address[:len(address)-1] + port
		}
		if got := listensOn(l, address); got != tt.want {
			t.Errorf("%v listens on %s: got %v", l.Addr(), address, got)
		}
		l.Close()
	}
}

// A successor gets the sockets that it asks for, new ones if the predecessor has none, and
// knows which ones it did not ask for. The predecessor is told when the successor accepts.
func TestTakeOver(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, socketName), nil, 0o600); err != nil { // left by a killed gateway
		t.Fatal(err)
	}
	old := new(Sockets)
	defer old.Close()
	for range 2 {
		if _, err := old.Listen("127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	taken := make(chan struct{}, 1)
	stop, err := old.Offer(dir, func() { taken <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	s, predecessor, err := TakeOver(dir)
	if err != nil || predecessor == nil || !s.Given() {
		t.Fatalf("got %v, %v, error %v", s, predecessor, err)
	}
	defer s.Close()
	first := old.all[0].Addr().String()
	l, err := s.Listen(first)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Unclaimed(); len(got) != 1 || got[0] != old.all[1].Addr().String() {
		t.Errorf("%v are unclaimed, want %v", got, old.all[1].Addr())
	}
	if another, err := s.Listen("127.0.0.1:0"); err != nil || another.Addr().String() == first {
		t.Errorf("got %v, %v for a new address, want another socket", another, err)
	}
	if err := predecessor.Accepted(); err != nil {
		t.Fatal(err)
	}
	<-taken
	stop()
	old.Close() // the successor still has the socket
	conn, err := net.Dial("tcp", first)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	accepted.Close()
}

// Of two that ask at a time only one is given the sockets: the other would accept, too, and
// wait for the store for as long as the first one serves.
func TestTakeOverByOne(t *testing.T) {
	dir := t.TempDir()
	old := new(Sockets)
	defer old.Close()
	if _, err := old.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	taken := make(chan struct{}, 2)
	stop, err := old.Offer(dir, func() { taken <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	first, predecessor, err := TakeOver(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	second, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: filepath.Join(dir, socketName), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if err := predecessor.Accepted(); err != nil {
		t.Fatal(err)
	}
	<-taken
	if s, err := receive(second); err == nil {
		s.Close()
		t.Error("the other one is given the sockets, too")
	}
	if s, predecessor, err := TakeOver(dir); err != nil || predecessor != nil || s.Given() {
		t.Errorf("a later one gets %v, %v, error %v, want no predecessor", s, predecessor, err)
	}
}

// If no gateway is running, there is nothing to take over.
func TestNobodyToTakeOverFrom(t *testing.T) {
	dir := t.TempDir()
	nobody := func() {
		t.Helper()
		s, predecessor, err := TakeOver(dir)
		if err != nil || predecessor != nil || s.Given() {
			t.Errorf("got %v, %v, error %v, want no predecessor", s, predecessor, err)
		}
	}
	nobody()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, socketName), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false) // as a gateway that was killed leaves it
	l.Close()
	nobody()
}

// One that stops offering before it has seen who asks is as good as gone.
func TestNobodyAnyMoreToTakeOverFrom(t *testing.T) {
	for _, tt := range []struct {
		name string
		stop func(t *testing.T, l *net.UnixListener)
	}{
		{"before it accepts", func(*testing.T, *net.UnixListener) {}},
		{"when it has accepted", func(t *testing.T, l *net.UnixListener) {
			c, err := l.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			c.Close()
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, socketName), Net: "unix"})
			if err != nil {
				t.Fatal(err)
			}
			asked := make(chan error, 1)
			go func() {
				s, predecessor, err := TakeOver(dir)
				if err == nil && (predecessor != nil || s.Given()) {
					err = fmt.Errorf("got %v, %v", s, predecessor)
				}
				asked <- err
			}()
			raw, err := l.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			looked := false
			raw.Read(func(uintptr) bool { // is called again when somebody has asked
				defer func() { looked = true }()
				return looked
			})
			tt.stop(t, l)
			l.Close()
			if err := <-asked; err != nil {
				t.Error(err)
			}
		})
	}
}

// A successor that goes away without accepting leaves everything as it was.
func TestTakeOverGivenUp(t *testing.T) {
	dir := t.TempDir()
	old := new(Sockets)
	defer old.Close()
	if _, err := old.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	stop, err := old.Offer(dir, func() { t.Error("taken") })
	if err != nil {
		t.Fatal(err)
	}
	s, predecessor, err := TakeOver(dir)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	predecessor.conn.Close()
	stop()
}
