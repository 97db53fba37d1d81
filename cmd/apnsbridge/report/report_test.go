package report

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"apnsbridge/binproto"
)

func enhancedFrom(first uint32, expiry uint32, payload string) func(i int) binproto.Notification {
	return func(i int) binproto.Notification {
		return binproto.Notification{Command: binproto.Enhanced, Identifier: first + uint32(i), Expiry: expiry,
			Payload: []byte(payload)}
	}
}

// The report survives a restart, counts by day, and is bounded.
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
	if got := r.Providers(); len(got) != 1 || got[0].Habits.Frames < 1000-noteEvery ||
		got[0].Guess().Library != "java-apns (Java)" || got[0].Packets != 1 {
		t.Fatalf("an open connection: %+v", got)
	}
	c.Close()
	r.Open(java).Close() // sends nothing
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
	if p.Habits.Frames != 1500 || p.Connections != 2 || p.ADay() != 750 || p.Days[days-1] != 500 ||
		p.Days[days-2] != 1000 || p.Feedback.IsZero() || p.Guess().Library != "java-apns (Java)" {
		t.Errorf("after a restart: %+v", p)
	}
	for i := range most + 100 {
		now = now.Add(time.Second)
		write(r, Who{App: "mail", Address: fmt.Sprint(i)}, 1, 1).Close()
	}
	all := r.Providers()
	if len(all) != most || all[0].Address != fmt.Sprint(most+99) {
		t.Errorf("got %d providers, the last %s", len(all), all[0].Address)
	}
	if err := r.Load([]byte("{")); err == nil {
		t.Error("a broken file is loaded without an error")
	}
}

// However many providers are connected at a time, the report does not grow beyond its bound,
// and those that it has no room for do no harm.
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
		t.Errorf("got %d providers, want %d", got, most)
	}
	for _, c := range conns {
		c.Close()
	}
	late := r.Open(Who{App: "mail", Address: "late"})
	late.See(&n)
	late.Close()
	if got := len(r.Providers()); got != most {
		t.Errorf("got %d providers after all have gone, want %d", got, most)
	}
}

// A provider whose frames keep changing gets a few rows, and pushes no other out of the report.
func TestChangingFrames(t *testing.T) {
	r := New(func() time.Time { return time.Unix(1_800_000_000, 0) })
	quiet := r.Open(Who{App: "mail", Address: "quiet"})
	n := enhancedFrom(1, 0, "{}")(0)
	quiet.See(&n)
	quiet.Close()
	for i := range 3 * most {
		c := r.Open(Who{App: "mail", Address: "loud"})
		odd := binproto.Notification{Command: binproto.Framed, HasIdentifier: true, Identifier: uint32(i), HasExpiry: true,
			Expiry: uint32(i * 7919),
			Layout: binproto.LayoutOf(1, 2, 3, byte(i%10), byte(i/10%10), byte(i/100%10), byte(i/1000))}
		c.See(&odd)
		c.Close()
	}
	all := r.Providers()
	if len(all) > 10 || !slices.ContainsFunc(all, func(p Provider) bool { return p.Address == "quiet" }) {
		t.Errorf("got %d rows, want at most 10 and the quiet provider among them", len(all))
	}
}
