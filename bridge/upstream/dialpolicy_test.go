package upstream

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestDialPolicy(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	type count = [connStates]int
	full := func(o *dialPolicy, q *pushQueue) { o.delay.waited(start, q) }
	// newOnes opens n fresh connections, an hour apart, the last of them now.
	newOnes := func(n int) func(*dialPolicy, *pushQueue) {
		return func(o *dialPolicy, q *pushQueue) {
			for i := range n {
				o.next(start.Add(time.Duration(i-n+1)*time.Hour), count{serving: 1}, q, true)
			}
		}
	}
	tests := []struct {
		name   string
		before func(*dialPolicy, *pushQueue)
		after  time.Duration
		count  count
		queued int
		fresh  bool
		open   bool
		wait   time.Duration
	}{
		{name: "nothing to send"},
		{name: "the first", queued: 1, open: true},
		{name: "one is on its way", queued: 1, count: count{connecting: 1}},
		{name: "full just now", queued: 1, count: count{serving: 1}, wait: growAfter},
		{name: "full for a while", before: full, after: growAfter / 4, queued: 1, count: count{serving: 1}, wait: growAfter * 3 / 4},
		{name: "full for long", before: full, after: growAfter, queued: 1, count: count{serving: 1}, open: true},
		{name: "no more than allowed", before: full, after: time.Hour, queued: 1, count: count{serving: 4}},
		{name: "those that leave do not count", before: full, after: time.Hour, queued: 1, count: count{serving: 3, draining: 4}, open: true},
		{name: "but not without end", before: full, after: time.Hour, queued: 1, count: count{draining: 8}},
		{name: "what waited has gone, others came", before: func(o *dialPolicy, q *pushQueue) {
			full(o, q)
			q.pop()
			q.push(new(Push))
		}, after: time.Hour, queued: 1, count: count{serving: 1}, wait: growAfter},
		{name: "what waited was put back", before: func(o *dialPolicy, q *pushQueue) {
			full(o, q)
			q.putBack(q.pop())
		}, after: time.Hour, queued: 1, count: count{serving: 1}, open: true},
		{name: "another takes the place of an aging one", count: count{aging: 1}, open: true},
		{name: "or has taken it", count: count{aging: 1, serving: 1}},
		{name: "too soon", before: func(o *dialPolicy, _ *pushQueue) { o.opened(start) }, after: 300 * time.Millisecond, queued: 1, wait: 700 * time.Millisecond},
		{name: "after a failure", before: func(o *dialPolicy, _ *pushQueue) { o.failed(start) }, queued: 1, wait: time.Second},
		{name: "after three", before: func(o *dialPolicy, _ *pushQueue) {
			for range 3 {
				o.failed(start)
			}
		}, queued: 1, wait: 4 * time.Second},
		{name: "after many", before: func(o *dialPolicy, _ *pushQueue) {
			for range 1000 {
				o.failed(start)
			}
		}, queued: 1, wait: 16 * time.Second},
		{name: "after one that was opened in vain", before: func(o *dialPolicy, _ *pushQueue) {
			o.failed(start)
			o.opened(start)
			o.failed(start)
		}, queued: 1, wait: 2 * time.Second},
		{name: "after one that was useful", before: func(o *dialPolicy, _ *pushQueue) {
			o.failed(start)
			o.opened(start)
			o.useful()
			o.failed(start)
		}, queued: 1, wait: time.Second},
		{name: "after some that were soon over", before: func(o *dialPolicy, _ *pushQueue) {
			for range 6 {
				o.opened(start)
				o.endedSoon(start)
			}
		}, queued: 1, wait: 32 * time.Second},
		{name: "after many that were", before: func(o *dialPolicy, _ *pushQueue) {
			for range 1000 {
				o.endedSoon(start)
			}
		}, queued: 1, wait: 64 * time.Second},
		{name: "a new one is wanted, though others have room", fresh: true, count: count{serving: 1}, open: true},
		{name: "though there are as many as allowed", fresh: true, count: count{serving: 4}, open: true},
		{name: "but not without end", fresh: true, count: count{serving: 4, draining: 4}},
		{name: "a new one is on its way", fresh: true, count: count{serving: 1, connecting: 1}},
		{name: "the third new one", fresh: true, before: newOnes(2), count: count{serving: 1}, wait: 2 * time.Second},
		{name: "the hundredth", fresh: true, before: newOnes(100), count: count{serving: 1}, wait: maxFreshWait},
		{name: "after an acceptance", fresh: true, before: func(o *dialPolicy, q *pushQueue) {
			newOnes(100)(o, q)
			o.freshAccepted()
		}, count: count{serving: 1}, wait: time.Second},
		{name: "after many, in a hurry", before: func(o *dialPolicy, _ *pushQueue) {
			for range 1000 {
				o.failed(start)
			}
			o.hurry(start)
		}, queued: 1, wait: time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := dialPolicy{limit: 4, interval: time.Second}
			var q pushQueue
			for range tt.queued {
				q.push(new(Push))
			}
			if tt.before != nil {
				tt.before(&o, &q)
			}
			if open, wait := o.next(start.Add(tt.after), tt.count, &q, tt.fresh); open != tt.open || wait != tt.wait {
				t.Errorf("got %v, %v, want %v, %v", open, wait, tt.open, tt.wait)
			}
		})
	}
}

// Whatever happens, connections are opened at least an interval apart and within their limit, and
// there is one for what is to be sent.
func TestDialPolicyInAnyHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const interval = time.Second
		o := dialPolicy{limit: rapid.IntRange(1, 4).Draw(t, "limit"), interval: interval}
		now := time.Unix(1_800_000_000, 0)
		var last time.Time // a connection was opened or tried
		var q pushQueue
		var count [connStates]int
		var fresh bool
		move := func(from, to connState) {
			if count[from] > 0 {
				count[from]--
				count[to]++
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"push":                        func(*rapid.T) { q.push(new(Push)) },
			"a new one is wanted, or not": func(*rapid.T) { fresh = !fresh },
			"accepted":                    func(*rapid.T) { o.freshAccepted() },
			"pop": func(*rapid.T) {
				if !q.empty() {
					q.pop()
				}
			},
			"wait": func(t *rapid.T) { now = now.Add(time.Duration(rapid.Int64Range(0, int64(3*interval)).Draw(t, "time"))) },
			"opened": func(t *rapid.T) {
				if count[connecting] > 0 {
					o.opened(now)
					count[draining] += count[aging]
					count[aging] = 0
					last = now
				}
				move(connecting, serving)
			},
			"failed": func(t *rapid.T) {
				if count[connecting] > 0 {
					o.failed(now)
					count[connecting]--
					last = now
				}
			},
			"ended soon": func(*rapid.T) {
				if count[serving] > 0 {
					o.endedSoon(now)
					count[serving]--
				}
			},
			"aging": func(*rapid.T) { move(serving, aging) },
			"leave": func(*rapid.T) { move(serving, draining) },
			"gone": func(*rapid.T) {
				if count[draining] > 0 {
					count[draining]--
				}
			},
			"": func(t *rapid.T) {
				open, wait := o.next(now, count, &q, fresh)
				if open {
					if now.Sub(last) < interval {
						t.Fatalf("opened %v after another", now.Sub(last))
					}
					count[connecting]++
					last = now
				}
				if count[connecting] > 1 || !fresh && open && count[serving]+count[connecting] > o.limit ||
					count[serving]+count[aging]+count[draining]+count[connecting] > 2*o.limit {
					t.Fatalf("connections: %v of %d", count, o.limit)
				}
				if none := count[serving]+count[aging]+count[connecting] == 0; none && (fresh || !q.empty()) && count[draining] < 2*o.limit && wait == 0 {
					t.Fatal("pushes wait, and no connection will be opened for them")
				}
				if wait < 0 || wait > max(maxFreshWait, maxPause*interval) {
					t.Fatalf("wait %v", wait)
				}
			},
		})
	})
}
