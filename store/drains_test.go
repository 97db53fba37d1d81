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
			for i, v := range tt.visits {
				now := start.Add(v.at)
				admitted := d.begin(key, now)
				if admitted != (v.outcome != Refused) {
					t.Fatalf("visit %d: admitted: %v", i, admitted)
				}
				if !admitted {
					continue
				}
				if d.begin(key, now) {
					t.Fatalf("visit %d: admitted twice", i)
				}
				for _, other := range []drainKey{{"client", "news"}, {"other", "mail"}} {
					if !d.begin(other, now) {
						t.Fatalf("visit %d keeps %v out", i, other)
					}
					d.judge(other, 1, Confirmed)
					d.end(other, now)
				}
				if got := d.judge(key, v.given, v.outcome); got != v.wantRead {
					t.Errorf("visit %d: got read up to revision %d, want %d", i, got, v.wantRead)
				}
				if d.begin(key, now) {
					t.Fatalf("visit %d: admitted while the list is being cleared", i)
				}
				d.end(key, now)
			}
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
		if !d.begin(key, now) {
			t.Fatalf("client %d is not admitted", i)
		}
		d.judge(key, 1, Unread)
		now = now.Add(time.Millisecond)
		d.end(key, now)
	}
	if len(d.clients) != rememberedClients {
		t.Errorf("got %d clients remembered, want %d", len(d.clients), rememberedClients)
	}
	if d.begin(reading, now) {
		t.Error("a client that reads was forgotten")
	}
	if d.begin(drainKey{strconv.Itoa(rememberedClients + 9), "mail"}, now) {
		t.Error("the latest client was forgotten")
	}
}

func TestDrainsForgetsTheGood(t *testing.T) {
	var d drains
	key := drainKey{"client", "mail"}
	d.begin(key, time.Time{})
	d.judge(key, 1, Confirmed)
	d.end(key, time.Time{})
	if len(d.clients) != 0 {
		t.Errorf("got %d clients remembered, want 0", len(d.clients))
	}
}
