package gateway

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"reflect"
	"slices"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"apnsbridge/binproto"
)

// FuzzHello: however a client's first bytes are cut, helloReader stops at the end of the hello or
// after it, within its limit, and what they are can be named and compared.
func FuzzHello(f *testing.F) {
	f.Add([]byte{22, 3, 1, 0, 6, 1, 0, 0, 2, 3, 1}, byte(1))
	f.Add([]byte{22, 3, 1, 0, 2, 1, 0, 22, 3, 1, 0, 4, 0, 2, 3, 1}, byte(3))
	f.Add([]byte{22, 3, 0, 0, 6, 1, 0, 0, 2, 3, 0}, byte(5))
	f.Add([]byte{0x80, 0x2e, 1, 3, 1}, byte(2))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), byte(0))
	f.Fuzz(func(t *testing.T, in []byte, cut byte) {
		const limit = 2048
		held := firstHello
		got, err := new(helloReader).read(&cutReader{in: in, size: int(cut) + 1}, limit,
			func(size int) error { held = size; return nil })
		if len(got) > min(limit, held) || !bytes.HasPrefix(in, got) {
			t.Fatalf("read %d bytes that are not the first %d of the input", len(got), limit)
		}
		end, says := helloEnd(in)
		complete := end <= limit && end > 0 && says <= limit
		if (err == nil) != complete {
			t.Fatalf("got %v, want success: %v", err, complete)
		}
		if err == nil && len(got) < end {
			t.Fatalf("% x is not complete", got)
		}
		if speaks := languageOf(got); speaks > speaksElse {
			t.Fatalf("speaks %d", speaks)
		}
		if is := looksOf(got); len(got) < 5+4+2+32 && is != (looks{}) {
			t.Fatalf("%d bytes look like %v", len(got), is)
		}
	})
}

// helloEnd is where the first message of b ends, 0 if that has not come, and how long the message
// claims to be. It always looks at b from the beginning.
func helloEnd(b []byte) (end, says int) {
	var message []byte
	for at := 0; at < len(b); {
		if b[at] != 22 {
			return at + 1, says
		}
		if len(b) < at+5 {
			return 0, says
		}
		size := int(b[at+3])<<8 | int(b[at+4])
		if at += 5; size == 0 || size > maxPlaintext {
			return at, says
		}
		for range size {
			if at == len(b) {
				return 0, says
			}
			message = append(message, b[at])
			at++
			if len(message) >= 4 {
				says = 4 + (int(message[1])<<16 | int(message[2])<<8 | int(message[3]))
			}
			if len(message) >= 4 && len(message) >= says {
				return at, says
			}
		}
	}
	return 0, says
}

// cutReader gives in pieces of size.
type cutReader struct {
	in   []byte
	size int
}

func (r *cutReader) Read(b []byte) (int, error) {
	if len(r.in) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(r.size, len(b))], r.in)
	r.in = r.in[n:]
	return n, nil
}

var fuzzCertificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

// FuzzAdapter: a session gets the same frames however the provider cuts its
// records, and however the network cuts those on their way to the loop. Each
// byte of records and cuts is the size of a piece, 0 for 4096; the last is what
// is left. version is that of TLS, 0 for none.
func FuzzAdapter(f *testing.F) {
	one := (&binproto.Notification{Command: binproto.Enhanced, Token: bytes.Repeat([]byte{7}, 32),
		Payload: []byte(`{"aps":{}}`), Identifier: 1, HasIdentifier: true}).Append(nil)
	short := (&binproto.Notification{Command: binproto.Simple, Token: []byte{7}, Payload: []byte(`{}`)}).Append(nil)
	large := slices.Concat([]byte{1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 32}, make([]byte, 32), []byte{0xff, 0xff},
		make([]byte, 0xffff))
	for version := range byte(5) {
		f.Add(slices.Concat(one, one, short, one), []byte{1, 2, 3}, []byte{1, 1, 1, 5, 40, 1, 1, 7}, version)
		f.Add(slices.Concat(one, large, one), []byte{0, 0, 1, 0}, []byte{0, 3, 0, 0, 1, 0}, version)
		f.Add(slices.Concat(one, []byte{99}, one), []byte{200}, []byte{100}, version)
	}
	f.Fuzz(func(t *testing.T, frames, records, cuts []byte, version byte) {
		whole := newAdapter(t, 0)
		whole.conn.receive(frames)
		whole.end()

		cut := newAdapter(t, uint16(version%5))
		write := func(b []byte) { cut.provider.Write(b) }
		if version%5 == 0 {
			write = func(b []byte) { cut.sent.Write(b) }
		}
		eachPiece(frames, records, write)
		if version%5 != 0 {
			cut.provider.CloseWrite()
		}
		eachPiece(cut.sent.Bytes(), cuts, cut.conn.receive)
		cut.end()

		if !reflect.DeepEqual(cut.frames, whole.frames) {
			t.Fatalf("got  %+v\nwant %+v", cut.frames, whole.frames)
		}
		if cut.ends != 1 || whole.ends != 1 {
			t.Fatalf("the end was told %d times and %d times, want once", cut.ends, whole.ends)
		}
		if held := cut.conn.server.counters.unparsed.Load(); held != 0 {
			t.Fatalf("%d bytes are held at the end", held)
		}
	})
}

func eachPiece(b, sizes []byte, do func([]byte)) {
	for _, s := range sizes {
		size := int(s)
		if size == 0 {
			size = 4096
		}
		if size = min(size, len(b)); size == 0 {
			return
		}
		do(b[:size:size])
		b = b[size:]
	}
	if len(b) > 0 {
		do(b)
	}
}

// adapter is a connection on its loop, behind a handshake but without a
// descriptor, and its session.
type adapter struct {
	conn     *Conn
	provider *tls.Conn
	sent     bytes.Buffer // by the provider, since the handshake
	frames   []string
	ends     int
}

func newAdapter(t *testing.T, version uint16) *adapter {
	a := new(adapter)
	server := &Server{front: &front{often: zerolog.Nop()}}
	a.conn = &Conn{server: server, session: a, parser: binproto.DefaultParser(), fd: -1, loop: &loop{},
		scratch: &scratch{plain: make([]byte, 64<<10)}}
	a.conn.wire = &loopWire{conn: a.conn}
	if version == 0 {
		a.conn.stream = plain{&wire{Conn: a.conn.wire}}
		return a
	}
	ours, theirs := net.Pipe()
	w := &wire{Conn: ours}
	stream := tls.Server(w, &tls.Config{Certificates: []tls.Certificate{fuzzCertificate()},
		MinVersion: tls.VersionTLS10, SessionTicketsDisabled: true})
	below := &wire{Conn: theirs}
	a.provider = tls.Client(below, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10 - 1 + version,
		MaxVersion: tls.VersionTLS10 - 1 + version})
	failed := make(chan error, 1)
	go func() { failed <- a.provider.Handshake() }()
	if err := stream.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	below.Conn = &tap{Conn: theirs, to: &a.sent}
	w.Conn, a.conn.stream = a.conn.wire, stream
	return a
}

// end is the provider's FIN, without a descriptor.
func (a *adapter) end() {
	a.conn.wire.eof = true
	if a.conn.theirs == open {
		a.conn.pump()
		a.conn.countHeld()
	}
}

// tap takes what is written.
type tap struct {
	net.Conn
	to *bytes.Buffer
}

func (t *tap) Write(b []byte) (int, error) { return t.to.Write(b) }

func (a *adapter) Push(n *binproto.Notification) bool {
	a.frames = append(a.frames, string(n.Append(nil)))
	return true
}

func (a *adapter) Reject(n *binproto.Notification, status binproto.Status) bool {
	a.frames = append(a.frames, string(append(n.Append(nil), byte(status))))
	return true
}

func (a *adapter) ReadOn()       {}
func (a *adapter) Shutdown(bool) { a.ends++ }
func (a *adapter) Close(error)   {}
