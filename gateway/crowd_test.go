package gateway

import (
	"crypto/tls"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func sourceNumber(n int) source {
	return source(netip.AddrFrom4([4]byte{127, 0, byte(n >> 8), byte(n)}))
}

func nothing() bool { return false }

// TestCrowdSparesProviders: strangers from many addresses fill all places and come again. A
// provider from another address that has just connected does not give way to them, although it
// opens several connections and has not said hello yet.
func TestCrowdSparesProviders(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCrowd(helloPatience)
		now := time.Unix(0, 0)
		each := rapid.IntRange(1, 50).Draw(t, "of each stranger")
		says := rapid.Bool().Draw(t, "strangers say hello")
		places := rapid.IntRange(200, 1000).Draw(t, "places")
		next := 0
		enter := func() {
			w := &waiter{from: sourceNumber(1 + next/each%200), since: now, unread: nothing}
			w.greeted.Store(says)
			next++
			c.add(w)
		}
		for range places {
			enter()
			now = now.Add(500 * time.Microsecond)
		}
		provider := make(map[*waiter]bool)
		for range rapid.IntRange(1, 4).Draw(t, "connections of the provider") {
			w := &waiter{from: sourceNumber(0), since: now, unread: nothing}
			provider[w] = true
			c.add(w)
		}
		for range places / 10 { // while it says hello
			if provider[c.spare(now)] {
				t.Fatal("the provider goes")
			}
			enter()
			now = now.Add(500 * time.Microsecond)
		}
	})
}

// TestCrowd plays random histories. Each waiter is in both indexes. The one that goes is of the
// source that was asked for, is silent if any that was looked at is, and is never one whose
// client may believe that it is connected.
func TestCrowd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCrowd(helloPatience)
		now := time.Unix(0, 0)
		all := make(map[*waiter]bool)
		for range rapid.IntRange(1, 30).Draw(t, "steps") { // few enough that all are looked at
			from := sourceNumber(rapid.IntRange(0, 3).Draw(t, "source"))
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0, 1:
				w := &waiter{from: from, since: now, unread: nothing}
				w.greeted.Store(rapid.Bool().Draw(t, "greeted"))
				w.answered.Store(w.greeted.Load() && rapid.Bool().Draw(t, "answered"))
				w.owed.Store(rapid.Bool().Draw(t, "owed"))
				some := rapid.Bool().Draw(t, "something unread")
				w.unread = func() bool { return some }
				c.add(w)
				all[w] = true
			case 2:
				gone := c.spare(now)
				free := 0
				for w := range all {
					if !w.believes() {
						free++
					}
				}
				if gone == nil {
					if free > 0 {
						t.Fatalf("none goes of %d", free)
					}
					break
				}
				if gone.believes() || !all[gone] {
					t.Fatal("one goes that may believe that it is connected, or that is not there")
				}
				delete(all, gone)
				for w := range all {
					if !w.believes() && gone.greeted.Load() && !w.greeted.Load() && now.Sub(w.since) >= helloPatience {
						t.Fatal("one goes that has said hello before one that has not")
					}
					if !w.believes() && gone.answered.Load() && !w.answered.Load() {
						t.Fatal("one goes whose hello was answered before one whose was not")
					}
				}
			case 3:
				if gone := c.spareOf(from, now); gone != nil {
					if gone.from != from || !all[gone] || gone.believes() {
						t.Fatal("one of another source goes, or one that may believe that it is connected")
					}
					delete(all, gone)
				}
				for w := range all {
					c.move(w, from)
					break
				}
			case 4:
				now = now.Add(time.Duration(rapid.IntRange(1, 1500).Draw(t, "ms")) * time.Millisecond)
			}
			n := 0
			for from, of := range c.bySource {
				for w := range of {
					if n++; w.from != from || !all[w] {
						t.Fatal("one is counted where it is not")
					}
				}
			}
			if n != len(all) || len(c.all) != n {
				t.Fatalf("%d and %d are counted, there are %d", n, len(c.all), len(all))
			}
		}
	})
}

// TestCensus: shares are owed and exceeded as connections are counted, and no connection is
// counted out twice.
func TestCensus(t *testing.T) {
	c := newCensus(Limits{Connections: 10, ConnectionsPerAddress: 10, ConnectionsPerClient: 10,
		AppConnectionsShare: 20, Handshakes: 2})
	var busy []*place
	for range 10 {
		p := &place{from: sourceNumber(1)}
		if v := c.enter(p, false); v != welcome {
			t.Fatal(v)
		}
		if v := c.join(p, "", "busy", tls.VersionTLS12); v != welcome {
			t.Fatal(v)
		}
		busy = append(busy, p)
	}
	quiet := &place{from: sourceNumber(2)}
	if c.enter(quiet, false) != tooMany || c.enterBeyond(quiet) != welcome ||
		c.join(quiet, "", "quiet", tls.VersionTLS12) != tooMany {
		t.Error("there is a place where there is none")
	}
	if !c.owed("quiet") || c.owed("busy") || c.owed("") || c.excess()["busy"] != 8 {
		t.Errorf("got excess %v", c.excess())
	}
	c.leave(busy[0])
	c.leave(busy[0])
	if c.join(quiet, "", "quiet", tls.VersionTLS12) != welcome || c.total != 10 || c.joined != 10 {
		t.Errorf("got %d and %d joined, want 10", c.total, c.joined)
	}
	for _, p := range append(busy, quiet) {
		c.leave(p)
	}
	if c.total != 0 || c.joined != 0 || len(c.bySource)+len(c.byApp)+len(c.byClient) != 0 {
		t.Errorf("something is left: %+v", c)
	}
}
