package endtoend

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/gateway/provider"
)

// habit is how a library sends and sends again, as docs/promises.md describes it.
type habit struct {
	command   binproto.Command
	priority  byte          // sent as an item in every second frame; 0: never
	renumbers bool          // identifiers count from 1 on each connection; else over all of them
	cache     int           // notifications it can send again; 0: all
	atEnd     bool          // it sends them again after all others
	rounds    time.Duration // how long it writes them into the old socket, again and again
	pause     time.Duration // after each 20
}

// library is a provider at work. Its notifications are given by their tokens; each has a
// payload of its own.
type library struct {
	habit
	w       *world
	waits   time.Duration // for a packet, after everything is written
	queue   []int         // of tokens, to be written
	tokens  []string
	written int // in all; identifiers that go on over connections count these
	names   map[int]uint32
	packets int
}

// connection is a connection of a library.
type connection struct {
	*provider.Conn
	answer chan binproto.Response // closed at the end
	sent   []int
	names  []uint32
}

func (l *library) dial() (*connection, error) {
	conn, err := provider.Dial(l.w.T.Context(), l.w.Push, l.w.ClientTLS())
	if err != nil {
		return nil, err
	}
	c := &connection{Conn: conn, answer: make(chan binproto.Response, 1)}
	go func() {
		defer close(c.answer)
		if answer, err := c.ReadResponse(); err == nil {
			c.answer <- answer
		}
	}()
	return c, nil
}

// frame gives a notification its identifier, and encodes it.
func (l *library) frame(c *connection, i int) []byte {
	name, known := l.names[i]
	switch {
	case l.renumbers:
		name = uint32(len(c.sent) + 1)
	case !known:
		l.written++
		name = uint32(l.written)
		l.names[i] = name
	}
	c.sent, c.names = append(c.sent, i), append(c.names, name)
	n := binproto.Notification{
		Command: l.command, Token: servertest.Unhex(l.tokens[i]), Payload: fmt.Appendf(nil, `{"aps":{"alert":"%s"}}`, l.tokens[i][50:]),
		Identifier: name, HasIdentifier: true, Expiry: uint32(time.Now().Add(time.Hour).Unix()), HasExpiry: true,
	}
	if l.priority > 0 && i%2 == 0 {
		n.Priority = l.priority
	}
	return n.Append(nil)
}

// send writes everything that is to be sent, and then what is to be sent again.
func (l *library) send() error {
	l.names = make(map[int]uint32)
	for i := range l.tokens {
		l.queue = append(l.queue, i)
	}
	for {
		c, err := l.dial()
		if err != nil {
			return err
		}
		answer, failed := l.write(c)
		if !failed {
			return c.Close()
		}
		l.packets++
		l.again(c, answer)
		c.Close()
	}
}

// write writes until a packet comes, or everything is written and none has come.
func (l *library) write(c *connection) (answer binproto.Response, failed bool) {
	for len(l.queue) > 0 {
		select {
		case answer, failed = <-c.answer:
			return answer, failed
		default:
		}
		n := min(20, len(l.queue))
		var chunk []byte
		for _, i := range l.queue[:n] {
			chunk = append(chunk, l.frame(c, i)...)
		}
		l.queue = l.queue[n:]
		if _, err := c.Write(chunk); err != nil {
			l.w.T.Errorf("writing: %v", err)
			return answer, false
		}
		if l.pause > 0 {
			<-time.After(l.pause)
		}
	}
	waits := l.waits
	if l.packets == 0 { // as there is one to come for each list here, however busy the machine is
		waits = servertest.Patience
	}
	select {
	case answer, failed = <-c.answer:
	case <-time.After(waits):
	}
	return answer, failed
}

// again puts what stood behind the failed notification where the library would put it.
func (l *library) again(c *connection, answer binproto.Response) {
	known := c.sent
	if l.cache > 0 {
		known = known[max(0, len(known)-l.cache):]
	}
	first := len(c.sent) - len(known)
	tail := known // all of them, if the failed one is not among them
	for i, name := range c.names[first:] {
		if name == answer.Identifier {
			tail = known[i+1:]
		}
	}
	tail = append([]int(nil), tail...)
	for end := time.Now().Add(l.rounds); time.Now().Before(end); {
		var round []byte
		for _, i := range tail {
			round = append(round, l.frame(c, i)...)
		}
		if _, err := c.Write(round); err != nil {
			break
		}
		<-time.After(5 * time.Millisecond)
	}
	if l.atEnd {
		l.queue = append(l.queue, tail...)
	} else {
		l.queue = append(tail, l.queue...)
	}
}

// tokensOf are the tokens of n devices, of which one in badEvery is bad.
func tokensOf(prefix string, n, badEvery int) (tokens []string, good int) {
	for i := range n {
		if badEvery > 0 && i%badEvery == badEvery/2 {
			tokens = append(tokens, servertest.Token("bad0"+prefix, i))
			continue
		}
		tokens = append(tokens, servertest.Token(prefix, i))
		good++
	}
	return tokens, good
}

// checkBooks checks that good notifications have arrived, at most doubled of them twice.
func (w *world) checkBooks(good, doubled int) {
	w.T.Helper()
	w.Await("all good ones arrive", func(s apnssim.Stats) bool { return s.Accepted-s.Duplicates >= good })
	w.Stop()
	s := w.Sim.Stats()
	if s.Accepted-s.Duplicates != good || s.Duplicates > doubled {
		w.T.Errorf("%d arrived, and %d of them twice; want %d and at most %d",
			s.Accepted-s.Duplicates, s.Duplicates, good, doubled)
	}
	w.T.Logf("%d arrived, %d of them twice", good, s.Duplicates)
}

// java-apns keeps 100 notifications. At full speed thousands stand behind a bad one, and it
// sends the last hundred again; all others have been delivered.
func TestShortCache(t *testing.T) {
	t.Parallel()
	count := 20_000
	if *long {
		count = 250_000
	}
	for _, tt := range []struct {
		name    string
		limits  string
		doubled int
	}{
		{"default", "", count / 10_000},
		{"64 KiB", "limits: {ledger_bytes_per_client: 64KiB}\n", count},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, late)
			w.Reconfigure("apps:", tt.limits+"apps:")
			w.Start()
			tokens, good := tokensOf("2c", count, 1000)
			l := &library{habit: habit{command: binproto.Enhanced, cache: 100}, w: w, tokens: tokens}
			l.waits = 2*time.Second + time.Duration(count/10_000)*time.Second // it is read out before the packet
			if err := l.send(); err != nil {
				t.Fatal(err)
			}
			if l.packets == 0 {
				t.Error("it was told nothing")
			}
			t.Logf("%d packets", l.packets)
			w.checkBooks(good, tt.doubled)
		})
	}
}

// Libraries that number each connection anew have everything delivered exactly once, alone or
// beside one with the same layout that keeps its numbers.
func TestRenumbering(t *testing.T) {
	runs := 1
	if *long {
		runs = 20
	}
	keeper := habit{command: binproto.Enhanced, pause: 4 * time.Millisecond}
	five := habit{command: binproto.Framed, priority: 10, pause: 4 * time.Millisecond}
	for _, tt := range []struct {
		name   string
		habit  habit
		beside *habit // nil: none
		count  int
	}{
		{"pushy, 20", habit{command: binproto.Framed, renumbers: true, rounds: 60 * time.Millisecond}, nil, 20},
		{"pushy, 60", habit{command: binproto.Framed, renumbers: true, rounds: 60 * time.Millisecond}, nil, 60},
		{"pushy, 2,000", habit{command: binproto.Framed, renumbers: true, rounds: 60 * time.Millisecond, pause: 2 * time.Millisecond}, nil, 2000},
		{"PHP beside one that keeps", habit{command: binproto.Enhanced, renumbers: true, pause: 3 * time.Millisecond}, &keeper, 1000},
		{"node-apn beside five items", habit{command: binproto.Framed, priority: 10, renumbers: true, atEnd: true, pause: 3 * time.Millisecond}, &five, 1000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for range runs {
				w := newWorld(t, late)
				tokens, good := tokensOf("2d", tt.count, min(tt.count, 250))
				sender := &library{habit: tt.habit, w: w, waits: 1500 * time.Millisecond, tokens: tokens}
				all := []*library{sender}
				if tt.beside != nil {
					first, known := tokensOf("2f", tt.count/2, 100)
					before := &library{habit: *tt.beside, w: w, waits: time.Second, tokens: first}
					if err := before.send(); err != nil { // it is known to keep its numbers
						t.Error(err)
					}
					more, others := tokensOf("2e", 2*tt.count, 250)
					good += known
					all = append(all, &library{habit: *tt.beside, w: w, waits: 1500 * time.Millisecond, tokens: more})
					good += others
				}
				var sending sync.WaitGroup
				for _, l := range all {
					sending.Go(func() {
						if err := l.send(); err != nil {
							t.Error(err)
						}
						if l.packets == 0 {
							t.Error("it was told nothing")
						}
					})
				}
				sending.Wait()
				w.checkBooks(good, 0)
			}
		})
	}
}
