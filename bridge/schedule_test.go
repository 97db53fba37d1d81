package bridge

import (
	"testing"
	"time"
)

func TestSchedule(t *testing.T) {
	after := func(seconds int) decision { return decision{retry, time.Duration(seconds) * time.Second} }
	atOnce := decision{retry, 0}
	tests := []struct {
		name    string
		classes []class
		want    []decision
	}{
		{"accepted", []class{accepted}, []decision{{settle, 0}}},
		{"refused", []class{refused}, []decision{{settle, 0}}},
		{"bad token", []class{badToken}, []decision{{settle, 0}}},
		{"gone", []class{gone}, []decision{{settle, 0}}},
		{"unknown", []class{unknown}, []decision{{settle, 0}}},
		{"changed once", []class{badPriority, badPriority}, []decision{{amendRetry, 0}, {drop, 0}}},
		{"changed once in all", []class{badPushType, badExpiration}, []decision{{amendRetry, 0}, {drop, 0}}},
		{"renewed once, then held", []class{staleToken, staleToken, staleToken}, []decision{{renewRetry, 0}, after(1), after(2)}},
		{"held", []class{held, held, accepted}, []decision{after(1), after(2), {settle, 0}}},
		{"too many JWTs", []class{tokenUpdates, tokenUpdates}, []decision{after(1), after(2)}},
		{"unavailable", []class{unavailable, unavailable, unavailable, unavailable, unavailable}, []decision{after(1), after(2), after(4), after(5), after(5)}},
		{"one trouble and another", []class{unavailable, held, unreachable}, []decision{after(1), after(2), after(4)}},
		{"not looked at", []class{unsent, unsent, unsent, unavailable, unsent}, []decision{atOnce, after(1), after(2), after(1), atOnce}},
		{"ambiguous once", []class{ambiguous, ambiguous}, []decision{after(1), {drop, 0}}},
		{"ambiguous once in all", []class{ambiguous, unavailable, ambiguous}, []decision{after(1), after(1), {drop, 0}}},
	}
	exact := &backoff{2 * time.Second, 10 * time.Second, never} // half of which is waited at least
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var p plan
			for i, c := range tt.classes {
				if got := p.next(c, exact); got != tt.want[i] {
					t.Errorf("attempt %d: got %+v, want %+v", i+1, got, tt.want[i])
				}
			}
		})
	}
	t.Run("a throttled device is given up", func(t *testing.T) {
		var p plan
		for i, delay := range []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute} {
			if got, want := p.next(throttled, exact), (decision{do: retry, after: delay}); got != want {
				t.Fatalf("attempt %d: got %+v, want %+v", i+1, got, want)
			}
		}
		if got := p.next(throttled, exact); got.do != drop {
			t.Errorf("got %+v, want drop", got)
		}
	})
}

func TestDue(t *testing.T) {
	now := time.Unix(1000, 999)
	for expires, want := range map[int64]bool{0: true, 999: false, 1000: false, 1001: true} {
		if got := due(expires, now); got != want {
			t.Errorf("due(%d) = %v, want %v", expires, got, want)
		}
	}
}
