package report

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"apnsbridge/binproto"
)

// A provider that stays connected and sends little is shown as it is now whenever the report
// is read, and what is found out about it later is added to it.
func TestConnected(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	r := New(func() time.Time { return now })
	found := Unsettled
	c := r.Open(Who{App: "mail", Client: "a", Address: "10.0.0.1", TLS: "TLS 1.2"})
	c.Asks(func(binproto.Command, binproto.Layout) Resends { return found })
	see := func(count int) {
		for range count {
			n := enhancedFrom(uint32(c.seen().Frames), 5, "{}")(0)
			c.See(&n)
		}
	}
	one := func() Provider {
		t.Helper()
		all := r.Providers()
		if len(all) != 1 {
			t.Fatalf("got %d providers", len(all))
		}
		return all[0]
	}
	see(10)
	if p := one(); p.Habits.Frames != 10 || p.Days[days-1] != 10 || p.Last != now || p.Resends != Unsettled {
		t.Errorf("after 10 frames: %+v", p)
	}
	first := now
	now = now.Add(26 * time.Hour)
	if p := one(); p.Last != first || p.Days[days-1] != 0 || p.Days[days-2] != 10 {
		t.Errorf("a day without a frame: %+v", p)
	}
	see(5)
	for i := range 6 { // 6 verdicts for 15 frames: the others are resends, which were swallowed
		if c.Judged(); i%2 == 0 {
			c.BadToken()
		}
	}
	c.Told()
	found = SendsAgain
	if p := one(); p.Last != now || p.Days[days-1] != 5 || p.Habits.Frames != 15 || p.BadTokens != 3 ||
		p.BadTokenRatio() != 0.5 || p.Packets != 1 || p.Resends != SendsAgain {
		t.Errorf("after 5 more: %+v", p)
	}
	found = Unsettled // the source may forget it, but the report must not
	see(1000)
	c.Close()
	c.Judged() // a late verdict
	c.BadToken()
	r.ReadFeedback("mail", "a", 3)
	if p := one(); p.Habits.Frames != 1015 || p.Verdicts != 7 || p.BadTokens != 4 || p.Days[days-1] != 1005 ||
		p.Resends != SendsAgain || p.ADay() != 507 {
		t.Errorf("after its end: %+v", p)
	}
	read := now
	now = now.Add(time.Second)
	other := r.Open(Who{App: "mail", Client: "a", Address: "10.0.0.2"})
	n := binproto.Notification{Command: binproto.Simple}
	other.See(&n)
	if p := r.Providers()[0]; p.Address != "10.0.0.2" || p.Feedback != read {
		t.Errorf("another provider of the client that has read its feedback: %+v", p)
	}
}

// The advice on TLS takes every connection to either port into account, even those that the
// report has no room for or that were followed by better ones.
func TestSentences(t *testing.T) {
	start := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	const tls10, tls11, deaf = "TLS 1.0 for 30 days", "TLS 1.1 for 30 days",
		"1 of 1 providers have not read their feedback for 30 days"
	n := enhancedFrom(1, 5, "{}")(0)
	use := func(r *Report, version string) {
		r.Connected(version)
		c := r.Open(Who{App: "mail", Client: "a", TLS: version})
		c.See(&n)
		c.Close()
	}
	for _, test := range []struct {
		name  string
		do    func(r *Report, after func(days int))
		least string
		want  []string
	}{
		{"it began yesterday", func(r *Report, after func(int)) { use(r, "TLS 1.2"); after(1) }, "1.0", nil},
		{"all is well", func(r *Report, after func(int)) { after(31); use(r, "TLS 1.2"); r.ReadFeedback("mail", "a", 3) },
			"1.0", []string{tls10, tls11}},
		{"feedback is not read", func(r *Report, after func(int)) { after(31); use(r, "TLS 1.2") }, "1.0",
			[]string{tls10, tls11, deaf}},
		{"and the least is 1.2", func(r *Report, after func(int)) { after(31); use(r, "TLS 1.2") }, "1.2", []string{deaf}},
		{"TLS 1.0, then 1.2 by the same", func(r *Report, after func(int)) {
			after(31)
			use(r, "TLS 1.0")
			use(r, "TLS 1.2")
			r.ReadFeedback("mail", "a", 3)
		}, "1.0", nil},
		{"a reader of feedback alone", func(r *Report, after func(int)) { after(31); r.Connected("TLS 1.1") }, "1.0",
			[]string{tls10}},
		{"in front of the gateway", func(r *Report, after func(int)) { after(31); r.Connected("") }, "1.1", []string{tls11}},
		{"a connection that lasts", func(r *Report, after func(int)) {
			c := r.Open(Who{App: "mail", Client: "a", TLS: "TLS 1.0"})
			c.See(&n)
			after(29)
			c.See(&n)
			r.Providers()
			after(29)
			r.ReadFeedback("mail", "a", 3)
		}, "1.0", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			now := start
			clock := func() time.Time { return now }
			r := New(clock)
			test.do(r, func(days int) { now = now.Add(time.Duration(days) * 24 * time.Hour) })
			text, err := r.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			later := New(clock)
			if err := later.Load(text); err != nil {
				t.Fatal(err)
			}
			for when, r := range map[string]*Report{"": r, " after a restart": later} {
				got := r.Sentences(test.least)
				for i, want := range test.want {
					if len(got) != len(test.want) || !strings.Contains(got[i], want) {
						t.Fatalf("got %q%s, want %q", got, when, test.want)
					}
				}
				if len(got) != len(test.want) {
					t.Fatalf("got %q%s, want %q", got, when, test.want)
				}
			}
		})
	}
}

// The last feedback read of each client is kept over a restart, even if it sends nothing.
func TestReads(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	r := New(clock)
	for i := range most + 10 {
		now = now.Add(time.Second)
		r.ReadFeedback("mail", fmt.Sprint(i), i)
	}
	r.ReadFeedback("chat", "a", 1)
	now = now.Add(time.Second)
	r.ReadFeedback("mail", "20", 7)
	text, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if r = New(clock); r.Load(text) != nil {
		t.Fatal("the saved report cannot be loaded")
	}
	all := r.Reads("mail")
	if len(all) != most-1 || all[0] != (Read{"mail", "20", now, 7}) || all[1].Entries != most+9 ||
		all[len(all)-1].Client != "11" {
		t.Errorf("got %d reads, from %+v and %+v to %+v", len(all), all[0], all[1], all[len(all)-1])
	}
	if all = r.Reads("chat"); len(all) != 1 || all[0].Client != "a" {
		t.Errorf("another app's reads: got %+v", all)
	}
}

// What was found out about a provider is looked up by its first frame's layout, even if later frames have no priority.
func TestAsksByFirstLayout(t *testing.T) {
	r := New(func() time.Time { return time.Unix(1_800_000_000, 0) })
	c := r.Open(Who{App: "mail"})
	five := binproto.LayoutOf(1, 2, 3, 4, 5)
	c.Asks(func(command binproto.Command, layout binproto.Layout) Resends {
		if command != binproto.Framed || layout != five {
			t.Errorf("asked for command %d, items %v", command, layout.AppendItems(nil))
		}
		return SendsAgain
	})
	for i, layout := range []binproto.Layout{five, binproto.LayoutOf(1, 2, 3, 4), five} {
		c.See(&binproto.Notification{Command: binproto.Framed, Layout: layout, Identifier: uint32(i), HasIdentifier: true})
	}
	c.Close()
	if p := r.Providers()[0]; p.Resends != SendsAgain || !p.Habits.Priorities {
		t.Errorf("got %+v", p)
	}
}
