package gateway

import (
	"crypto/tls"
	"net"
	"slices"
	"testing"
	"time"
)

// helloOf is the ClientHello of a client.
func helloOf(t testing.TB, config *tls.Config) []byte {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	go tls.Client(a, config).Handshake()
	head, err := new(helloReader).read(b, 16<<10, func(int) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	return head
}

// reordered is a hello of which the last extension comes first.
func reordered(t *testing.T, hello []byte) []byte {
	t.Helper()
	r := helloFields{hello}
	r.skip(5 + 4 + 2 + 32)
	for _, size := range []int{1, 2, 1} { // of the lengths of what comes before
		r.skip(r.number(size))
	}
	r.skip(2)
	before, last := len(hello)-len(r.left), 0
	for len(r.left) > 0 {
		last = len(hello) - len(r.left)
		r.skip(2)
		r.skip(r.number(2))
	}
	if last <= before {
		t.Fatal("it has one extension at most")
	}
	return slices.Concat(hello[:before], hello[last:], hello[before:last])
}

// TestLooks: one library's hellos look alike but for their random bytes, and two libraries'
// do not.
func TestLooks(t *testing.T) {
	config := func(change func(*tls.Config)) *tls.Config {
		c := &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}
		change(c)
		return c
	}
	one := helloOf(t, config(func(*tls.Config) {}))
	for _, tt := range []struct {
		name   string
		hello  []byte
		random bool // is the same
		offers bool
	}{
		{"sent again", one, true, true},
		{"of the same library", helloOf(t, config(func(*tls.Config) {})), false, true},
		{"with a name", helloOf(t, config(func(c *tls.Config) { c.ServerName = "gateway.push.apple.com" })), false, false},
		{"of another version", helloOf(t, config(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS13 })), false, false},
		{"with other ciphers", helloOf(t,
			config(func(c *tls.Config) { c.CipherSuites = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256} })), false, false},
		{"in another order", reordered(t, one), true, true},
		{"cut", one[:60], true, false},
	} {
		a, b := looksOf(one), looksOf(tt.hello)
		if random, library := a.random == b.random, a.library == b.library; random != tt.random || library != tt.offers {
			t.Errorf("%s: the same random bytes %t, the same library %t; want %t and %t", tt.name, random, library,
				tt.random, tt.offers)
		}
	}
	for _, none := range [][]byte{nil, one[:9], one[:40], []byte("GET / HTTP/1.0\r\n\r\n")} {
		if got := looksOf(none); got != (looks{}) {
			t.Errorf("%q looks like %v", none, got)
		}
	}
}

// TestQueueOfOneAddress: strangers who stall do not keep out a provider behind their
// address whose hello is unlike theirs, however many of them come after it.
func TestQueueOfOneAddress(t *testing.T) {
	for _, tt := range []struct {
		name     string
		stranger func(n uint64) looks
	}{
		{"another library", func(n uint64) looks { return looks{library: 1, random: n} }},
		{"its own hello again and again", func(uint64) looks { return looks{library: 2, random: 1} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now := time.Unix(0, 0)
			q := newHandshakeQueue(Limits{Handshakes: 8, HandshakesPerAddress: 4, HandshakeTimeout: 10 * time.Second})
			came := uint64(100)
			ask := func(is looks) *bool {
				began := new(bool)
				q.ask(&turn{from: sourceNumber(1), whole: true, looks: is, owes: func() bool { return true },
					begin: func() { *began = true }, drop: func() {}})
				q.grant(now)
				return began
			}
			strangers := func() {
				for range 50 {
					came++
					ask(tt.stranger(came))
				}
			}
			strangers()
			provider := ask(looks{library: 2, random: 99})
			strangers()
			if *provider {
				t.Fatal("there was a place for it: it waits for nothing here")
			}
			now = now.Add(q.patience)
			if q.grant(now); !*provider {
				t.Error("it waits behind those who came after it")
			}
		})
	}
}

// TestQueuePatience: strangers whose hellos are alike have less time than a provider behind
// their address, whose answer may come from far away.
func TestQueuePatience(t *testing.T) {
	now := time.Unix(0, 0)
	q := newHandshakeQueue(Limits{Handshakes: 8, HandshakesPerAddress: 8, HandshakeTimeout: 10 * time.Second})
	ask := func(library, random uint64) (gone func() bool) {
		var dropped bool
		q.ask(&turn{from: sourceNumber(1), whole: true, looks: looks{library, random},
			owes: func() bool { return true }, begin: func() {}, drop: func() { dropped = true }})
		q.grant(now)
		return func() bool { return dropped }
	}
	provider := ask(2, 1000)
	stranger := ask(1, 0)
	for i := range uint64(100) {
		ask(1, i)
	}
	for _, step := range []struct {
		past               time.Duration
		provider, stranger bool
	}{{q.patience - 1, false, false}, {1, false, true}, {q.patience - 1, false, true}, {1, true, true}} {
		now = now.Add(step.past)
		q.grant(now)
		if provider() != step.provider || stranger() != step.stranger {
			t.Errorf("after %v the provider is gone: %t, the first of the strangers: %t; want %t and %t",
				now.Sub(time.Unix(0, 0)), provider(), stranger(), step.provider, step.stranger)
		}
	}
}

// TestQueueOfManyAddresses: where strangers of many addresses wait, the provider behind one
// of them waits for the next turn of that address, whichever it is, and each has its turns.
func TestQueueOfManyAddresses(t *testing.T) {
	const addresses, each = 20, 100
	for from := range addresses {
		now := time.Unix(0, 0)
		q := newHandshakeQueue(Limits{Handshakes: 256, HandshakesPerAddress: 32, HandshakeTimeout: 10 * time.Second})
		ask := func(from int, is looks) *bool {
			began := new(bool)
			q.ask(&turn{from: sourceNumber(from), whole: true, looks: is, owes: func() bool { return true },
				begin: func() { *began = true }, drop: func() {}})
			q.grant(now)
			return began
		}
		for i := range addresses * each {
			ask(i%addresses, looks{library: 1, random: uint64(i)})
		}
		provider := ask(from, looks{library: 2, random: addresses * each})
		for range addresses {
			now = now.Add(q.patience / addresses)
			q.grant(now)
		}
		if !*provider {
			t.Errorf("the provider behind address %d waits when all have had their time", from)
		}
	}
}
