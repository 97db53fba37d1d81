package report

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"apnsbridge/binproto"
)

const captures = "../../../binproto/testdata/captures"

// recorded returns the notifications of a capture.
func recorded(t *testing.T, name string) (all []binproto.Notification) {
	t.Helper()
	bytes, err := os.ReadFile(filepath.Join(captures, name+".bin"))
	if err != nil {
		t.Fatal(err)
	}
	parser := binproto.DefaultParser()
	for len(bytes) > 0 {
		var n binproto.Notification
		used, err := parser.Parse(bytes, &n)
		if used == 0 {
			t.Fatalf("%s: %v", name, err)
		}
		if err == nil {
			all = append(all, n)
		}
		bytes = bytes[used:]
	}
	return all
}

// sender is a provider: what it writes on each connection, how fast, and the hello of its TLS.
type sender struct {
	stack Stack
	conns [][]binproto.Notification
	pause time.Duration
}

// guesses connects the senders in the given order, each from its own address unless shared is set, and returns the
// guesses and their reasons.
func guesses(senders []sender, order []int, shared bool) (libraries []string, reasons [][]string) {
	now := time.Unix(1_800_000_000, 0)
	r := New(func() time.Time { return now })
	var open []*Conn
	next := make([]int, len(senders))
	for _, i := range order {
		who := Who{App: "mail", Address: fmt.Sprint(i), Stack: senders[i].stack}
		if shared {
			who.Address = ""
		}
		c := r.Open(who)
		for _, n := range senders[i].conns[next[i]] {
			c.See(&n)
			now = now.Add(senders[i].pause)
		}
		next[i]++
		if next[i]%2 == 0 {
			c.Close()
		} else {
			open = append(open, c)
		}
	}
	r.Providers()
	for _, c := range open {
		c.Close()
	}
	all := r.Providers()
	slices.SortFunc(all, func(a, b Provider) int { return strings.Compare(a.Address, b.Address) })
	for _, p := range all {
		g := p.Guess()
		libraries, reasons = append(libraries, g.Library), append(reasons, g.Because)
	}
	return libraries, reasons
}

// The recorded libraries are told apart as far as their frames allow, with and without their hello, on one connection
// and on several; and every capture is tested.
func TestCaptures(t *testing.T) {
	const (
		php, node, node5 = "a script (PHP)", "node-apn 1.x (Node)", "node-apn 1.x (Node), apns4erl (Erlang) or libcapn (C)"
		simple, from1    = "a script (PHP), PyAPNs (Python) or apnagent (Node)",
			"java-apns or JavaPNS (Java) or ApnsPHP (PHP)"
		from0, pythonFrame = "a script (PHP) or apnagent (Node)", "PyAPNs (Python) or rpush (Ruby)"
	)
	pause := 12 * time.Millisecond
	tests := map[string]struct {
		stack        Stack
		frames, both string // by the frames alone, and with the hello
	}{
		"node-apn": {Node, node, node}, "pushy": {Java, "pushy (Java)", "pushy (Java)"}, "houston": {OpenSSL,
			"houston (Ruby)", "houston (Ruby)"},
		"php-simple": {PHP, simple, php}, "pyapns-simple": {Python, simple, "PyAPNs (Python)"}, "apnagent-simple": {Node,
			simple, "apnagent (Node)"},
		"php-enhanced-poll": {PHP, from0, php}, "apnagent-enhanced": {Node, from0, "apnagent (Node)"},
		"apns4erl": {Erlang, node5, "apns4erl (Erlang)"}, "timehop": {Go, "timehop/apns (Go)", "timehop/apns (Go)"},
		"anachronistic": {Go, Unknown, Unknown}, // one frame
		"pyapns-frame":  {Python, pythonFrame, "PyAPNs (Python)"},
		"apnsphp":       {PHP, from1, "ApnsPHP or a script (PHP)"}, "java-apns": {Java, from1, "java-apns or JavaPNS (Java)"},
		"javapns": {Java, from1, "java-apns or JavaPNS (Java)"}, "grocer": {OpenSSL, from1,
			Unknown}, "pyapns-enhanced": {Python, from1, "PyAPNs (Python)"},
	}
	names, err := filepath.Glob(captures + "/*.bin")
	if err != nil || len(names) != len(tests) {
		t.Fatalf("there are %d captures (%v) but %d expected guesses", len(names), err, len(tests))
	}
	for name, test := range tests {
		frames := recorded(t, name)
		for stack, want := range map[Stack]string{UnknownStack: test.frames, test.stack: test.both} {
			got, because := guesses([]sender{{stack, [][]binproto.Notification{frames}, pause}}, []int{0}, false)
			if !slices.Equal(got, []string{want}) || len(because[0]) == 0 {
				t.Errorf("%s, hello %q: got %s because of %q, want %s", name, stack, got, because, want)
			}
		}
		again := sender{test.stack, [][]binproto.Notification{frames, frames, frames}, pause}
		want := test.both
		if name == "anachronistic" {
			for i := range again.conns {
				n := frames[0]
				n.Identifier += uint32(i * i * 11)
				again.conns[i] = []binproto.Notification{n}
			}
			want = "anachronistic/apns (Go)"
		}
		if got, because := guesses([]sender{again}, []int{0, 0, 0}, false); got[0] != want {
			t.Errorf("%s, three connections: got %s because of %q, want %s", name, got, because, want)
		}
	}
}

// Providers that share a certificate and an address are told apart, and get the same guesses and reasons, in whatever
// order their connections come.
func TestAnyOrder(t *testing.T) {
	script := func(i int) binproto.Notification {
		return binproto.Notification{Command: binproto.Enhanced, Identifier: uint32(i), Expiry: 1_900_000_000,
			Payload: []byte(`{"aps":{}}`)}
	}
	conns := func(write func(i int) binproto.Notification, first ...int) (all [][]binproto.Notification) {
		for _, from := range first {
			var conn []binproto.Notification
			for i := range 20 {
				conn = append(conn, write(from+i))
			}
			all = append(all, conn)
		}
		return all
	}
	nodes := recorded(t, "node-apn")
	bare := slices.Clone(nodes[1:]) // a connection of its on which no priority is set
	for i := range bare {
		bare[i].Identifier = uint32(i)
	}
	senders := []sender{
		{Node, [][]binproto.Notification{nodes, bare, nodes}, 0},
		{PHP, conns(script, 0, 0, 0), 12 * time.Millisecond},
		{Java, conns(script, 1, 21, 41), 0},
		{UnknownStack, conns(func(i int) binproto.Notification {
			return binproto.Notification{Command: binproto.Framed, Layout: binproto.LayoutOf(1, 2),
				Payload: []byte(`{"mdm":"7B4E"}`)}
		}, 0, 0, 0), 0},
		{Go, conns(func(i int) binproto.Notification {
			return binproto.Notification{Command: binproto.Framed, Layout: binproto.LayoutOf(1, 2, 3, 5, 4),
				Identifier: uint32(i), HasIdentifier: true,
				Expiry: 1_900_000_000, HasExpiry: true, Priority: 5}
		}, 0, 20, 40), 0},
		{OpenSSL, conns(func(i int) binproto.Notification { return script(i * i * 7919) }, 1, 31, 61), 0},
	}
	want := []string{"a script (PHP)", "an MDM server", "java-apns or JavaPNS (Java)", "node-apn 1.x (Node)", Unknown,
		Unknown, Unknown}
	order := slices.Repeat([]int{0, 1, 2, 3, 4, 5}, 3)
	var first [][]string
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 15))
		random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		libraries, reasons := guesses(senders, order, true)
		slices.Sort(libraries)
		slices.SortFunc(reasons, slices.Compare)
		if !slices.Equal(libraries, want) {
			t.Fatalf("%v: got %q because of %q, want %q", order, libraries, reasons, want)
		}
		if first == nil {
			first = reasons
		}
		if !slices.EqualFunc(reasons, first, slices.Equal) {
			t.Fatalf("%v: got the reasons %q, want %q", order, reasons, first)
		}
	}
}

func enhanced(step uint32) func(i int) binproto.Notification {
	return func(i int) binproto.Notification { return enhancedFrom(uint32(i)*(step-1)+1, 1_900_000_000, "{}")(i) }
}

func framed(items ...byte) func(i int) binproto.Notification {
	return func(i int) binproto.Notification {
		return binproto.Notification{Command: binproto.Framed, Layout: binproto.LayoutOf(items...), Identifier: uint32(i),
			HasIdentifier: true,
			Expiry:        1_900_000_000, HasExpiry: true, Priority: 10}
	}
}

// Frames that only one library writes are attributed to it; made-up frames, and those that differ from a library's in
// one respect, are unknown; and the reasons say what speaks against a guess.
func TestGuess(t *testing.T) {
	const hello = `{"aps":{}}`
	random := func(i int) uint32 { return uint32(i*i*7919 + 3) }
	named := func(write func(int) binproto.Notification, name func(int) uint32) func(int) binproto.Notification {
		return func(i int) binproto.Notification {
			n := write(i)
			n.Identifier = name(i)
			return n
		}
	}
	for name, test := range map[string]struct {
		stack  Stack
		write  func(i int) binproto.Notification
		want   string
		reason string
	}{
		"java-apns":                {"", enhancedFrom(1, 0x7fffffff, hello), "java-apns (Java)", "expiry 0x7fffffff"},
		"java-apns behind a relay": {Go, enhancedFrom(1, 0x7fffffff, hello), "java-apns (Java)", "none of these"},
		"a counter goes on": {"", enhancedFrom(4711, 1_900_000_000, hello), "java-apns or JavaPNS (Java)",
			"from 4711"},
		"as fast as it can": {"", enhancedFrom(1, 1_900_000_000, hello), "java-apns or JavaPNS (Java)",
			"in bursts"},
		"PushSharp":            {"", enhancedFrom(1, 0xffffffff, hello), "PushSharp (.NET)", "expiry 0xffffffff"},
		"MDM":                  {"", enhancedFrom(1, 0, ` {"mdm":"7B4E"}`), "an MDM server", "payloads are"},
		"rpush":                {OpenSSL, enhancedRpush, "rpush (Ruby)", "expiry 86400"},
		"Perl, or one of many": {OpenSSL, enhancedFrom(9, 1_900_000_000, hello), Unknown, "too many"},
		"PyAPNs as it is": {Python, func(int) binproto.Notification { return enhancedFrom(0, 0, hello)(0) },
			"PyAPNs (Python)", "always 0"},
		"random identifiers":       {"", named(enhanced(1), random), Unknown, "do not count"},
		"random ones, and Java's":  {Java, named(enhanced(1), random), Unknown, "do not count"},
		"random ones, largest int": {"", named(enhancedFrom(1, 0x7fffffff, hello), random), Unknown, "no library"},
		"steps of 7":               {Java, enhanced(7), Unknown, "do not count"},
		"backwards": {PHP, named(enhanced(1), func(i int) uint32 { return 1000 - uint32(i) }), Unknown,
			"do not count"},
		"items turned around":         {"", framed(5, 4, 3, 2, 1), Unknown, "[5 4 3 2 1]"},
		"node-apn, two items swapped": {Node, framed(1, 2, 3, 5, 4), Unknown, "no library"},
		"node-apn, from 1": {Node, named(framed(1, 2, 3, 4), func(i int) uint32 { return uint32(i + 1) }), Unknown,
			"no library"},
		"node-apn, random":        {Node, named(framed(1, 2, 3, 4), random), Unknown, "do not count"},
		"houston, with an expiry": {OpenSSL, framed(1, 2, 3), Unknown, "no library"},
		"pushy's order, random":   {Java, named(framed(3, 1, 2, 4, 5), random), Unknown, "do not count"},
		"token and payload, no more": {"", func(int) binproto.Notification {
			return binproto.Notification{Command: binproto.Framed, Layout: binproto.LayoutOf(1, 2)}
		}, Unknown, "no identifiers"},
		"an item twice":      {"", framed(1, 2, 3, 3, 4, 5), Unknown, "no library"},
		"an item of its own": {"", framed(1, 2, 3, 4, 5, 9), Unknown, "no library"},
		"five items, random": {"", named(framed(1, 2, 3, 4, 5), random), Unknown, "do not count"},
		"five items, random, Erlang's": {Erlang, named(framed(1, 2, 3, 4, 5), random), "apns4erl (Erlang)",
			"hello of Erlang"},
		"two formats": {PHP, func(i int) binproto.Notification { return binproto.Notification{Command: binproto.Command(i % 2)} }, Unknown, "mixed"},
		"a changing set of items": {"", func(i int) binproto.Notification { return framed(1, 2, byte(3+i%2))(i) },
			Unknown, "mixed"},
	} {
		sent := sender{stack: test.stack, conns: make([][]binproto.Notification, 1)}
		for i := range 10 {
			sent.conns[0] = append(sent.conns[0], test.write(i))
		}
		got, because := guesses([]sender{sent}, []int{0}, false)
		if got[0] != test.want || !strings.Contains(strings.Join(because[0], "; "), test.reason) {
			t.Errorf("%s: got %s because of %q, want %s because of %s", name, got, because, test.want, test.reason)
		}
		one := sender{stack: test.stack, conns: [][]binproto.Notification{{test.write(0)}}}
		if got, _ := guesses([]sender{one}, []int{0}, false); got[0] != Unknown && got[0] != test.want {
			t.Errorf("%s, from the first notification alone: got %s, want the same or unknown", name, got)
		}
	}
	n := enhancedFrom(1, 0, hello)(0)
	var h Habits
	if allocs := testing.AllocsPerRun(100, func() { h.See(&n, time.Time{}) }); allocs != 0 {
		t.Errorf("got %v allocations a frame, want 0", allocs)
	}
}

func enhancedRpush(i int) binproto.Notification {
	n := framed(1, 2, 3, 4, 5)(i + 100)
	n.Expiry = 86400
	return n
}
