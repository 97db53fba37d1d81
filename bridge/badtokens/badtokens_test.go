package badtokens

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const (
	topic               = "com.example.chat"
	production, sandbox = 0, 1
	entries             = 100_000
	badTokenLife        = 5 * time.Minute
	badTokenRepeated    = 30 * time.Minute
)

// numbered is the token of a device.
func numbered(kind string, i int) []byte { return fmt.Appendf(nil, "%s%026d", kind, i) }

func inProduction(token string) Device { return Device{production, topic, []byte(token)} }

func TestBadTokens(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	after := func(d time.Duration) time.Time { return start.Add(d) }
	bad := inProduction("bad")
	tests := []struct {
		name string
		do   func(c *List)
		d    Device
		now  time.Time
		want bool
	}{
		{"nothing is listed at first", func(c *List) {}, bad, start, false},
		{"a refusal lists for 5 min", func(c *List) { c.Refused(bad, start, "") }, bad, after(badTokenLife - 1), true},
		{"and no longer", func(c *List) { c.Refused(bad, start, "") }, bad, after(badTokenLife), false},
		{"not another token", func(c *List) { c.Refused(bad, start, "") }, inProduction("other"), start, false},
		{"not in the other environment", func(c *List) { c.Refused(bad, start, "") }, Device{sandbox, topic, []byte("bad")}, start, false},
		{"not for another topic", func(c *List) { c.Refused(bad, start, "") }, Device{production, topic + "x", []byte("bad")}, start, false},
		{"where topic ends and token begins", func(c *List) { c.Refused(bad, start, "") }, Device{production, topic + "b", []byte("ad")}, start, false},
		{"a second refusal lists for 30 min", func(c *List) {
			c.Refused(bad, start, "")
			c.Refused(bad, after(badTokenLife), "")
		}, bad, after(badTokenLife + badTokenRepeated - 1), true},
		{"and no longer than that", func(c *List) {
			c.Refused(bad, start, "")
			c.Refused(bad, after(badTokenLife), "")
		}, bad, after(badTokenLife + badTokenRepeated), false},
		{"a second refusal within the hour", func(c *List) {
			c.Refused(bad, start, "")
			c.Refused(bad, after(time.Hour-1), "")
		}, bad, after(time.Hour + badTokenLife), true},
		{"a refusal after an hour is a first one", func(c *List) {
			c.Refused(bad, start, "")
			c.Refused(bad, after(time.Hour), "")
		}, bad, after(time.Hour + badTokenLife), false},
		{"a third refusal too lists for 30 min", func(c *List) {
			c.Refused(bad, start, "")
			c.Refused(bad, after(10*time.Minute), "")
			c.Refused(bad, after(50*time.Minute), "")
		}, bad, after(80*time.Minute - 1), true},
		{"a reload flushes", func(c *List) {
			c.Refused(bad, start, "")
			c.Flush(after(1))
		}, bad, after(1), false},
		{"a verdict on what was sent before the reload", func(c *List) {
			c.Flush(after(1))
			c.Refused(bad, after(1), "")
		}, bad, after(2), false},
		{"the first refusal after a reload", func(c *List) {
			c.Refused(bad, start, "")
			c.Flush(after(1))
			c.Refused(bad, after(2), "")
		}, bad, after(2 + badTokenLife), false},
		{"an acceptance ends it", func(c *List) {
			c.Refused(bad, start, "")
			c.Accepted(bad)
		}, bad, start, false},
		{"the first refusal after an acceptance", func(c *List) {
			c.Refused(bad, start, "")
			c.Accepted(bad)
			c.Refused(bad, after(1), "")
		}, bad, after(1 + badTokenLife), false},
		{"an acceptance of another", func(c *List) {
			c.Refused(bad, start, "")
			c.Accepted(inProduction("other"))
		}, bad, start, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := New(badTokenLife, badTokenRepeated, entries)
			tt.do(c)
			_, _, got := c.Listed(tt.d, tt.now)
			listed, evicted := c.Figures(tt.now)
			if got != tt.want || evicted != 0 {
				t.Errorf("listed is %v, evicted %d; want %v", got, evicted, tt.want)
			}
			if tt.want && listed != 1 {
				t.Errorf("%d are listed, want 1", listed)
			}
		})
	}
}

func TestBadTokensSayWhenAPNsRefused(t *testing.T) {
	c := New(badTokenLife, badTokenRepeated, entries)
	sent := time.Unix(1_700_000_000, 0)
	c.Refused(inProduction("bad"), sent, "BadDeviceToken")
	if got, why, ok := c.Listed(inProduction("bad"), sent.Add(time.Minute)); !ok || !got.Equal(sent) || why != "BadDeviceToken" {
		t.Errorf("got %v, %v; want %v", got, ok, sent)
	}
}

func TestBadTokensAreBounded(t *testing.T) {
	c := New(badTokenLife, badTokenRepeated, 2)
	now := time.Unix(1_700_000_000, 0)
	for i, token := range []string{"a", "b", "a", "c"} { // b is the oldest at the end
		c.Refused(inProduction(token), now.Add(time.Duration(i)), "")
	}
	for token, want := range map[string]bool{"a": true, "b": false, "c": true} {
		if _, _, got := c.Listed(inProduction(token), now); got != want {
			t.Errorf("%s: listed is %v, want %v", token, got, want)
		}
	}
	if listed, evicted := c.Figures(now); listed != 2 || evicted != 1 {
		t.Errorf("listed %d, evicted %d; want 2, 1", listed, evicted)
	}
	now = now.Add(time.Hour + time.Minute) // a and c are forgotten
	c.Refused(inProduction("d"), now, "")
	if _, evicted := c.Figures(now); evicted != 1 || c.list.len() != 1 {
		t.Errorf("%d entries, evicted %d; want 1, 1", c.list.len(), evicted)
	}
}

// model is the list in the plainest way: it keeps everything that happened to each token, and reads that
// anew for each question.
type model struct {
	now     time.Time
	history []refusalAt // since the flush, without tokens that were accepted or evicted
	evicted uint64
}

type refusalAt struct {
	token string
	at    time.Time
}

// drop forgets a token.
func (m *model) drop(token string) {
	m.history = slices.DeleteFunc(m.history, func(x refusalAt) bool { return x.token == token })
}

// remembered gives the tokens that are remembered, the last refused first.
func (m *model) remembered() (tokens []string) {
	for _, x := range slices.Backward(m.history) {
		if !slices.Contains(tokens, x.token) && m.now.Sub(x.at) < 2*badTokenRepeated {
			tokens = append(tokens, x.token)
		}
	}
	return tokens
}

// refused notes a refusal, for which the token refused longest ago may have to go.
func (m *model) refused(token string, limit int) {
	known := m.remembered()
	if len(known) == limit && !slices.Contains(known, token) {
		m.drop(known[limit-1])
		m.evicted++
	}
	m.history = append(m.history, refusalAt{token, m.now})
}

// listed reports whether a token is listed, and when it was last refused.
func (m *model) listed(token string) (at time.Time, listed bool) {
	life := badTokenLife
	for _, x := range m.history {
		if x.token != token {
			continue
		}
		life = badTokenLife
		if !at.IsZero() && x.at.Sub(at) < 2*badTokenRepeated {
			life = badTokenRepeated
		}
		at = x.at
	}
	return at, !at.IsZero() && m.now.Sub(at) < life
}

// check compares c with the model.
func (m *model) check(t *rapid.T, c *List, tokens []string, limit int) {
	listed := 0
	for _, token := range tokens {
		wantAt, want := m.listed(token)
		at, _, got := c.Listed(inProduction(token), m.now)
		if got != want || got && !at.Equal(wantAt) {
			t.Fatalf("%s: got %v, %v; want %v, %v", token, at, got, wantAt, want)
		}
		if want {
			listed++
		}
	}
	if gotListed, gotEvicted := c.Figures(m.now); gotListed != listed || gotEvicted != m.evicted {
		t.Fatalf("listed, evicted: got %d, %d; want %d, %d", gotListed, gotEvicted, listed, m.evicted)
	}
	if n, ring := c.list.len(), c.list.ringLen(); n != ring || n > limit || int64(n) != c.entries.Load() {
		t.Fatalf("%d entries, %d in the ring, %d said", n, ring, c.entries.Load())
	}
}

// Any history leaves the list and the model alike.
func TestBadTokensAgainstModel(t *testing.T) {
	const limit = 4
	tokens := []string{"a", "b", "c", "d", "e", "f"}
	passes := []time.Duration{1, time.Minute, 5 * time.Minute, 25 * time.Minute, time.Hour}
	rapid.Check(t, func(t *rapid.T) {
		c := New(badTokenLife, badTokenRepeated, limit)
		m := &model{now: time.Unix(1_700_000_000, 0)}
		t.Repeat(map[string]func(*rapid.T){
			"time": func(t *rapid.T) {
				m.now = m.now.Add(rapid.SampledFrom(passes).Draw(t, "passes"))
			},
			"refused": func(t *rapid.T) {
				token := rapid.SampledFrom(tokens).Draw(t, "token")
				c.Refused(inProduction(token), m.now, "")
				m.refused(token, limit)
			},
			"accepted": func(t *rapid.T) {
				token := rapid.SampledFrom(tokens).Draw(t, "token")
				c.Accepted(inProduction(token))
				m.drop(token)
			},
			"flush": func(*rapid.T) {
				c.Flush(m.now)
				m.history = nil
				m.now = m.now.Add(1)
			},
			"": func(t *rapid.T) { m.check(t, c, tokens, limit) },
		})
	})
}

func (l *list) ringLen() (n int) {
	for e := l.ends.older; e != &l.ends; e = e.older {
		n++
	}
	return n
}

// Verdicts of different ages come in any order: the list forgets later then, but
// it lists no longer.
func TestBadTokensOutOfOrder(t *testing.T) {
	c := New(badTokenLife, badTokenRepeated, entries)
	start := time.Unix(1_700_000_000, 0)
	late, early, last := inProduction("late"), inProduction("early"), inProduction("last")
	c.Refused(late, start.Add(30*time.Second), "")
	c.Refused(early, start, "")
	c.Refused(last, start.Add(time.Hour), "")
	if n := c.list.len(); n != 3 {
		t.Errorf("%d are remembered, want 3: the oldest of the ring is not over yet", n)
	}
	c.Refused(early, start.Add(time.Hour+time.Second), "")
	if _, _, ok := c.Listed(early, start.Add(time.Hour+badTokenLife+time.Second)); ok {
		t.Error("a refusal after more than an hour counts as the second")
	}
}

func TestBadTokensFromManyGoroutines(t *testing.T) {
	const workers, rounds = 8, 500
	c := New(badTokenLife, badTokenRepeated, 20)
	now := time.Unix(1_700_000_000, 0)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range rounds {
				d := inProduction(fmt.Sprint((w + i) % 40))
				switch i % 4 {
				case 0, 1:
					c.Refused(d, now.Add(time.Duration(i)), "")
				case 2:
					c.Listed(d, now)
				case 3:
					c.Accepted(d)
				}
			}
			if w == 0 {
				c.Flush(now)
			}
		})
	}
	wg.Wait()
	if n, ring := c.list.len(), c.list.ringLen(); n != ring || n > 20 || int64(n) != c.entries.Load() {
		t.Errorf("%d entries, %d in the ring, %d said, at most 20", n, ring, c.entries.Load())
	}
}

func TestBadTokensAnswerWithoutAllocation(t *testing.T) {
	c := New(badTokenLife, badTokenRepeated, entries)
	now := time.Unix(1_700_000_000, 0)
	known, other := numbered("bad", 1), numbered("good", 1)
	ask := func() {
		c.Listed(Device{production, topic, known}, now)
		c.Listed(Device{production, topic, other}, now)
		c.Accepted(Device{production, topic, other})
	}
	if n := testing.AllocsPerRun(100, ask); n != 0 {
		t.Errorf("%v allocations while it is empty, want 0", n)
	}
	c.Refused(Device{production, topic, known}, now, "")
	if n := testing.AllocsPerRun(100, ask); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
	if _, _, known := c.Listed(Device{production, topic, known}, now); !known {
		t.Error("it was never listed")
	}
}

// BenchmarkBadTokens is the question asked for each notification.
func BenchmarkBadTokens(b *testing.B) {
	for _, entries := range []int{0, entries} {
		b.Run(fmt.Sprint("entries=", entries), func(b *testing.B) {
			c := New(badTokenLife, badTokenRepeated, entries)
			now := time.Unix(1_700_000_000, 0)
			for i := range entries {
				c.Refused(Device{production, topic, numbered("bad", i)}, now, "")
			}
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				good := numbered("bad", 1)
				for pb.Next() {
					c.Listed(Device{production, topic, good}, now)
				}
			})
		})
	}
}
