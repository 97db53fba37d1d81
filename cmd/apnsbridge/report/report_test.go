package report

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"apnsbridge/binproto"
)

// What was recorded of each library is told apart as far as its frames can tell.
func TestCaptures(t *testing.T) {
	for name, want := range map[string]string{
		"node-apn": "node-apn 1.x (Node)", "pushy": "pushy (Java)", "houston": "houston (Ruby)", "php-simple": "a PHP script",
		"php-enhanced-poll": "apnagent (Node) or a PHP script", "apnagent-enhanced": "apnagent (Node) or a PHP script",
		"apns4erl": "apns4erl (Erlang) or node-apn 1.x (Node)", "timehop": "timehop/apns or anachronistic/apns (Go)",
		"anachronistic": "timehop/apns or anachronistic/apns (Go)", "pyapns-frame": "PyAPNs (Python) or rpush (Ruby)",
		"apnsphp": "ApnsPHP (PHP)",
	} {
		bytes, err := os.ReadFile(filepath.Join("../../../binproto/testdata/captures", name+".bin"))
		if err != nil {
			t.Fatal(err)
		}
		var h Habits
		parser := binproto.DefaultParser()
		for len(bytes) > 0 {
			var n binproto.Notification
			used, err := parser.Parse(bytes, &n)
			if used == 0 {
				t.Fatalf("%s: %v", name, err)
			}
			if err == nil {
				h.See(&n)
			}
			bytes = bytes[used:]
		}
		if got := h.Guess(); got != want {
			t.Errorf("%s: got %s, want %s: %+v", name, got, want, h)
		}
	}
}

func enhancedFrom(first uint32, expiry uint32, payload string) func(i int) binproto.Notification {
	return func(i int) binproto.Notification {
		return binproto.Notification{Command: binproto.Enhanced, Identifier: first + uint32(i), Expiry: expiry, Payload: []byte(payload)}
	}
}

func TestGuess(t *testing.T) {
	const hello = `{"aps":{}}`
	for name, test := range map[string]struct {
		write func(i int) binproto.Notification
		want  string
	}{
		"java-apns":          {enhancedFrom(1, 0x7fffffff, hello), "java-apns (Java)"},
		"a counter goes on":  {enhancedFrom(4711, 1_900_000_000, hello), "java-apns or JavaPNS (Java)"},
		"PushSharp":          {enhancedFrom(1, 0xffffffff, hello), "PushSharp (.NET)"},
		"MDM":                {enhancedFrom(1, 0, ` {"mdm":"7B4E"}`), "an MDM server"},
		"random identifiers": {func(i int) binproto.Notification { return enhancedFrom(uint32(i*i*7919), 5, hello)(0) }, Unknown},
		"items turned around": {func(i int) binproto.Notification {
			return binproto.Notification{Command: binproto.Framed, Layout: binproto.LayoutOf(5, 4, 3, 2, 1), Identifier: uint32(i), HasIdentifier: true}
		}, Unknown},
		"two formats": {func(i int) binproto.Notification { return binproto.Notification{Command: binproto.Command(i % 2)} }, Unknown},
		"a changing set of items": {func(i int) binproto.Notification {
			return binproto.Notification{Command: binproto.Framed, Layout: binproto.LayoutOf(1, 2, byte(3+i%2))}
		}, Unknown},
	} {
		var h Habits
		for i := range 10 {
			n := test.write(i)
			h.See(&n)
		}
		if got := h.Guess(); got != test.want {
			t.Errorf("%s: got %s, want %s: %v", name, got, test.want, &h)
		}
	}
	n := enhancedFrom(1, 0, hello)(0)
	var h Habits
	if allocs := testing.AllocsPerRun(100, func() { h.See(&n) }); allocs != 0 {
		t.Errorf("%v allocations a frame", allocs)
	}
}

// What is known survives a restart, days pass, and the report is bounded.
func TestReport(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	r := New(clock)
	write := func(r *Report, who Who, count int, first uint32) *Conn {
		c := r.Open(who)
		for i := range count {
			n := enhancedFrom(first, 0x7fffffff, "{}")(i)
			c.See(&n)
		}
		return c
	}
	java := Who{App: "mail", Client: "sha256:ab", Address: "10.0.0.1", TLS: "TLS 1.0", Cipher: "C", JA3: "j"}
	c := write(r, java, 1000, 1)
	c.Told()
	if got := r.Providers(); len(got) != 1 || got[0].Habits.Frames < 1000-noteEvery || got[0].Library() != "java-apns (Java)" || got[0].Packets != 1 {
		t.Fatalf("an open connection: %+v", got)
	}
	c.Close()
	r.Open(java).Close() // without a word
	now = now.Add(24 * time.Hour)
	write(r, java, 500, 1001).Close()
	r.ReadFeedback("mail", "sha256:ab", 3)
	text, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	r = New(clock)
	if err := r.Load(text); err != nil {
		t.Fatal(err)
	}
	p := r.Providers()[0]
	if p.Habits.Frames != 1500 || p.Connections != 2 || p.ADay() != 750 || p.Days[days-1] != 500 || p.Days[days-2] != 1000 || p.Feedback.IsZero() || p.Library() != "java-apns (Java)" {
		t.Errorf("after a restart: %+v", p)
	}
	for i := range most + 100 {
		now = now.Add(time.Second)
		write(r, Who{App: "mail", Address: fmt.Sprint(i)}, 1, 1).Close()
	}
	all := r.Providers()
	if len(all) != most || all[0].Address != fmt.Sprint(most+99) {
		t.Errorf("%d providers, the last %s", len(all), all[0].Address)
	}
	if err := r.Load([]byte("{")); err == nil {
		t.Error("a broken file is taken")
	}
}

// However many are connected at a time, the report does not grow, and those it has no
// room for do it no harm.
func TestAllConnected(t *testing.T) {
	r := New(func() time.Time { return time.Unix(1_800_000_000, 0) })
	n := enhancedFrom(1, 0, "{}")(0)
	var conns []*Conn
	for i := range most + 100 {
		c := r.Open(Who{App: "mail", Address: fmt.Sprint(i)})
		for range noteEvery + 1 {
			c.See(&n)
		}
		c.Told()
		conns = append(conns, c)
	}
	if got := len(r.Providers()); got != most {
		t.Errorf("%d providers, want %d", got, most)
	}
	for _, c := range conns {
		c.Close()
	}
	late := r.Open(Who{App: "mail", Address: "late"})
	late.See(&n)
	late.Close()
	if got := len(r.Providers()); got != most {
		t.Errorf("%d providers after all have gone, want %d", got, most)
	}
}
