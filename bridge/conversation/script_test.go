package conversation

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"apnsbridge/binproto"
)

// A script is a history in words: each line is an event and, behind an arrow, what the
// ledger decides. Connections are named by capital letters, contents by any word.
//
//	open A [continue] [elsewhere] [framed]  a connection: bad tokens are told by feedback only,
//	                    from another address, with command 2
//	open A mute         a connection that cannot carry a packet
//	A hushes, A speaks  it is told nothing from now on; it is told again
//	A stuck x           the owner says that the verdict on x may take long
//	A 7 x               the frame of identifier 7 and content x arrives on A; - is no identifier
//	A 7 x until 60      with an expiry
//	A rejects 7 4       a frame that is refused at parsing, with status 4
//	A ok x              the notification is accepted; also spooled, gone, expired, dropped, bad, refused
//	A ends [heard]      the provider ends its side
//	A closes [heard]    the connection is gone
//	A shuts             the gateway stops
//	wait 1m             time goes by, with the ticks that are due
//	restart [killed]    another ledger takes over what is on disk
//	restart killed spooled    the same, where a spool has everything
//	restart after 3h    the same, after a while
//
// Releases are left out: the model test counts them.
type script struct {
	t      *testing.T
	ledger *Ledger
	now    time.Time
	conns  map[string]*Conn
	traits map[string]traits
	taken  map[string][]Seq // by connection and content
	disk   map[string]Record
	within time.Duration // Decision.Within of the last packet
	said   []string
}

type traits struct {
	command binproto.Command
}

// word is a Content of one word.
type word string

func (w word) Token() []byte   { return []byte(w) }
func (w word) Payload() []byte { return []byte(w) }

var elsewhere = netip.MustParseAddr("2001:db8::7")

// play plays the lines of text and compares each with what happens. It does so twice, once
// with memory short at all times: that must not change anything.
func play(t *testing.T, text string) *script {
	t.Helper()
	o := defaultOptions()
	o.Client = "client"
	playThrough(t, o, text, true)
	return playWith(t, o, text)
}

func playWith(t *testing.T, o Options, text string) *script {
	t.Helper()
	return playThrough(t, o, text, false)
}

func playThrough(t *testing.T, o Options, text string, short bool) *script {
	t.Helper()
	start := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	o.Durable = true
	s := &script{
		t: t, ledger: New(o, start), now: start, conns: map[string]*Conn{},
		traits: map[string]traits{}, taken: map[string][]Seq{}, disk: map[string]Record{},
	}
	for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
		event, want, _ := strings.Cut(line, "->")
		event, want = strings.TrimSpace(event), strings.TrimSpace(want)
		if event == "" {
			continue
		}
		s.said = nil
		s.do(strings.Fields(event))
		for _, c := range s.conns {
			if short {
				c.Spare()
			}
		}
		s.listen()
		if got := strings.Join(s.said, ", "); got != want {
			t.Fatalf("line %d: %s\n got: %s\nwant: %s\nshort of memory: %v", i+1, event, got, want, short)
		}
	}
	return s
}

func (s *script) say(format string, args ...any) {
	s.said = append(s.said, fmt.Sprintf(format, args...))
}

// listen puts the decisions into words.
func (s *script) listen() {
	for d, ok := s.ledger.Next(); ok; d, ok = s.ledger.Next() {
		for _, r := range d.Records {
			if s.disk[string(r.Key)] = r; r.Value == nil {
				delete(s.disk, string(r.Key))
			}
		}
		name := ""
		for n, c := range s.conns {
			if c == d.Conn {
				name = n
			}
		}
		switch d.Do {
		case Forward:
			s.say("forward %s %s until %d", name, d.Content, d.Expiry)
		case TakeOver:
			s.say("take over %s %s", name, d.Content)
			s.forget(name, string(d.Content.(word)), d.Seq)
		case Packet:
			s.within = d.Within
			s.say("packet %s %d %d", name, d.Status, d.Identifier)
		case Close:
			s.say("close %s", name)
		case Feedback:
			s.say("feedback %s", d.Token)
		}
	}
}

func (s *script) forget(conn, content string, seq Seq) {
	k := conn + " " + content
	s.taken[k] = slices.DeleteFunc(s.taken[k], func(x Seq) bool { return x == seq })
}

func (s *script) do(f []string) {
	switch f[0] {
	case "open":
		address, x := home, traits{command: binproto.Enhanced}
		if slices.Contains(f, "elsewhere") {
			address = elsewhere
		}
		if slices.Contains(f, "framed") {
			x.command = binproto.Framed
		}
		s.conns[f[1]] = s.ledger.Open(address, !slices.Contains(f, "continue"), s.now)
		if slices.Contains(f, "mute") {
			s.conns[f[1]].Mute()
		}
		s.traits[f[1]] = x
	case "wait":
		s.wait(f[1])
	case "restart":
		if !slices.Contains(f, "killed") {
			for _, r := range s.ledger.Records(s.now) {
				if s.disk[string(r.Key)] = r; r.Value == nil {
					delete(s.disk, string(r.Key))
				}
			}
		}
		if slices.Contains(f, "after") {
			d, err := time.ParseDuration(f[2])
			if err != nil {
				s.t.Fatal(err)
			}
			s.now = s.now.Add(d)
		}
		s.ledger = New(s.ledger.options, s.now)
		if err := s.ledger.Restore(slices.Collect(maps.Values(s.disk)), !slices.Contains(f, "killed") || slices.Contains(f, "spooled"), s.now); err != nil {
			s.t.Fatal(err)
		}
	default:
		s.converse(f[0], s.conns[f[0]], f[1:])
	}
}

func (s *script) wait(text string) {
	d, err := time.ParseDuration(text)
	if err != nil {
		s.t.Fatal(err)
	}
	for end := s.now.Add(d); ; {
		at, ok := s.ledger.Deadline()
		if !ok || at.After(end) {
			s.now = end
			return
		}
		if at.After(s.now) {
			s.now = at
		}
		s.ledger.Tick(s.now)
		s.listen()
		if next, ok := s.ledger.Deadline(); ok && !next.After(at) {
			s.t.Fatalf("after a tick the deadline is still %v", at.Sub(s.now))
		}
	}
}

func (s *script) converse(name string, c *Conn, f []string) {
	heard := slices.Contains(f, "heard")
	outcomes := map[string]Outcome{"ok": Accepted, "spooled": Spooled, "gone": Gone, "expired": Expired,
		"dropped": Dropped}
	switch f[0] {
	case "ends":
		c.Ended(heard, s.now)
	case "closes":
		c.Closed(heard, s.now)
	case "shuts":
		c.Shutdown(s.now)
	case "hushes", "speaks":
		c.Hush(f[0] == "hushes", s.now)
	case "stuck":
		c.TakeOver(func(v Content) bool { return string(v.(word)) == f[1] }, s.now)
	case "rejects":
		c.Reject(s.frame(name, f[1], nil), binproto.Status(s.number(f[2])), s.now)
	case "bad":
		c.Refuse(s.place(name, f[1]), binproto.InvalidToken, "", s.now)
	case "refused":
		c.Refuse(s.place(name, f[1]), binproto.Status(s.number(f[2])), "", s.now)
	case "ok", "spooled", "gone", "expired", "dropped":
		c.Settle(s.place(name, f[1]), outcomes[f[0]], s.now)
	default:
		seq, forward := c.Take(word(f[1]), s.frame(name, f[0], f[2:]), s.now)
		k := name + " " + f[1]
		s.taken[k] = append(s.taken[k], seq)
		if !forward {
			s.say("swallow")
		}
	}
}

// place is the oldest notification of that content without a verdict.
func (s *script) place(conn, content string) Seq {
	k := conn + " " + content
	if len(s.taken[k]) == 0 {
		s.t.Fatalf("%s has no %s to settle", conn, content)
	}
	seq := s.taken[k][0]
	s.forget(conn, content, seq)
	return seq
}

func (s *script) frame(conn, identifier string, rest []string) Frame {
	f := Frame{Expiry: NoExpiry, Command: s.traits[conn].command}
	if identifier != "-" {
		f.Identifier, f.HasIdentifier = s.number(identifier), true
	}
	if len(rest) > 0 {
		f.Expiry = s.number(rest[1])
	}
	return f
}

func (s *script) number(text string) uint32 {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		s.t.Fatal(err)
	}
	return uint32(n)
}
