package store

import (
	"strconv"
	"testing"
	"time"
)

// One client's story: what it does, and what is right then.
func TestDrains(t *testing.T) {
	type visit struct {
		at       time.Duration // of both begin and end
		given    uint64        // the list's revision
		outcome  Outcome       // Refused: it should not be admitted
		wantRead uint64
	}
	const s = time.Second
	for _, tt := range []struct {
		name   string
		visits []visit
	}{
		{"confirmed reads as often as it likes", []visit{
			{0, 5, Confirmed, 5}, {0, 6, Confirmed, 6}, {1, 6, Empty, 0}, {2, 7, Confirmed, 7},
		}},
		{"unread waits ten seconds", []visit{
			{0, 5, Unread, 0}, {9 * s, 5, Refused, 0}, {10 * s, 5, Unread, 0}, {19 * s, 5, Refused, 0}, {20 * s, 5, Confirmed, 5}, {20 * s, 6, Confirmed, 6},
		}},
		{"refusals do not prolong the wait", []visit{
			{0, 5, Unread, 0}, {4 * s, 5, Refused, 0}, {8 * s, 5, Refused, 0}, {10 * s, 5, Confirmed, 5},
		}},
		{"three acknowledged count as read", []visit{
			{0, 5, Acknowledged, 0}, {5 * s, 5, Refused, 0}, {60 * s, 6, Acknowledged, 0}, {120 * s, 7, Acknowledged, 5}, {121 * s, 8, Acknowledged, 6}, {122 * s, 9, Acknowledged, 7},
		}},
		{"unread between acknowledged does not count", []visit{
			{0, 5, Acknowledged, 0}, {60 * s, 6, Unread, 0}, {120 * s, 7, Acknowledged, 0}, {180 * s, 8, Unread, 0}, {240 * s, 9, Acknowledged, 5},
		}},
		{"a confirmed read begins the count again", []visit{
			{0, 5, Acknowledged, 0}, {60 * s, 6, Acknowledged, 0}, {120 * s, 7, Confirmed, 7}, {180 * s, 8, Acknowledged, 0}, {240 * s, 9, Acknowledged, 0}, {300 * s, 10, Acknowledged, 8},
		}},
		{"so does an empty list", []visit{
			{0, 5, Acknowledged, 0}, {60 * s, 6, Acknowledged, 0}, {120 * s, 6, Empty, 0}, {120 * s, 7, Acknowledged, 0},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var d drains
			key, start := drainKey{"client", "mail"}, time.Unix(1_800_000_000, 0)
			admitted := func(key drainKey, now time.Time) bool {
				_, ok := d.begin(key, now)
				return ok
			}
			for i, v := range tt.visits {
				now := start.Add(v.at)
				ok := admitted(key, now)
				if ok != (v.outcome != Refused) {
					t.Fatalf("visit %d: admitted: %v", i, ok)
				}
				if !ok {
					continue
				}
				if admitted(key, now) {
					t.Fatalf("visit %d: admitted twice", i)
				}
				for _, other := range []drainKey{{"client", "news"}, {"other", "mail"}} {
					if !admitted(other, now) {
						t.Fatalf("visit %d keeps %v out", i, other)
					}
					d.judge(other, portion{revision: 1, tuples: 1}, Confirmed)
					d.end(other, now)
				}
				if got := d.judge(key, portion{revision: v.given, tuples: int(v.given)}, v.outcome); got != v.wantRead {
					t.Errorf("visit %d: got read up to revision %d, want %d", i, got, v.wantRead)
				}
				if admitted(key, now) {
					t.Fatalf("visit %d: admitted while the list is being cleared", i)
				}
				d.end(key, now)
			}
		})
	}
}

// Readers that do not take all they are given come through the list, and nothing that
// they have not read is ever taken off it.
func TestDrainsPartialReaders(t *testing.T) {
	for _, tt := range []struct {
		name   string
		takes  int  // tuples, at most
		resets bool // also where it has taken all
		fails  int  // its first visits end unread
		list   int
		visits int // until it has come through
	}{
		{"takes all", 1 << 30, false, 0, 150_000, 1},
		{"takes all, after an accident", 1 << 30, false, 1, 3000, 2},
		{"takes all, after two", 1 << 30, false, 2, 3000, 5},
		{"8 KiB of a short list", 215, false, 0, 3000, 23},
		{"8 KiB of a long list", 215, false, 0, 150_000, 1200},
		{"1 KiB", 26, false, 0, 1000, 60},
		{"1 KiB, and resets", 26, true, 0, 200, 30},
		{"stops by count, and resets", 1 << 30, true, 0, 20, 3},
		{"stops by count of a longer list, and resets", 1 << 30, true, 0, 200, 30},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var d drains
			key, now := drainKey{"client", "mail"}, time.Unix(1_800_000_000, 0)
			forgotten, seen, visits := 0, 0, 0
			for forgotten < tt.list && visits <= tt.visits {
				visits++
				now = now.Add(repeatPause)
				limit, ok := d.begin(key, now)
				if !ok {
					t.Fatalf("visit %d is not admitted", visits)
				}
				left := tt.list - forgotten
				given := portion{tuples: left}
				if limit > 0 && limit < left {
					given.tuples, given.part = limit, true
				}
				given.revision = uint64(forgotten + given.tuples)
				o := Confirmed
				switch {
				case visits <= tt.fails:
					o = Unread
				case tt.resets || given.tuples > tt.takes:
					o = Acknowledged
				}
				if o != Unread {
					seen = max(seen, forgotten+min(given.tuples, tt.takes))
				}
				forgotten = max(forgotten, int(d.judge(key, given, o)))
				if forgotten > seen {
					t.Fatalf("visit %d: %d are forgotten, of which it has read %d", visits, forgotten, seen)
				}
				d.end(key, now)
			}
			if forgotten < tt.list {
				t.Errorf("after %d visits %d of %d are off the list", visits, forgotten, tt.list)
			}
			t.Logf("%d visits", visits)
		})
	}
}

func TestDrainsBounded(t *testing.T) {
	var d drains
	now := time.Unix(1_800_000_000, 0)
	reading := drainKey{"reading", "mail"}
	d.begin(reading, now)
	for i := range rememberedClients + 10 {
		key := drainKey{strconv.Itoa(i), "mail"}
		if _, ok := d.begin(key, now); !ok {
			t.Fatalf("client %d is not admitted", i)
		}
		d.judge(key, portion{revision: 1, tuples: 1}, Unread)
		now = now.Add(time.Millisecond)
		d.end(key, now)
	}
	if len(d.clients) != rememberedClients {
		t.Errorf("got %d clients remembered, want %d", len(d.clients), rememberedClients)
	}
	if _, ok := d.begin(reading, now); ok {
		t.Error("a client that reads was forgotten")
	}
	if _, ok := d.begin(drainKey{strconv.Itoa(rememberedClients + 9), "mail"}, now); ok {
		t.Error("the latest client was forgotten")
	}
}

func TestDrainsForgetsTheGood(t *testing.T) {
	var d drains
	key := drainKey{"client", "mail"}
	d.begin(key, time.Time{})
	d.judge(key, portion{revision: 1, tuples: 1}, Confirmed)
	d.end(key, time.Time{})
	if len(d.clients) != 0 {
		t.Errorf("got %d clients remembered, want 0", len(d.clients))
	}
}
