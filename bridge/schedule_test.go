package bridge

import (
	"testing"
	"time"

	"apnsbridge/bridge/upstream"
)

func TestSchedule(t *testing.T) {
	after := func(seconds int) decision { return decision{retry, time.Duration(seconds) * time.Second} }
	atOnce := decision{retry, 0}
	tests := []struct {
		name    string
		classes []upstream.Class
		want    []decision
	}{
		{"accepted", []upstream.Class{upstream.Accepted}, []decision{{settle, 0}}},
		{"refused", []upstream.Class{upstream.Refused}, []decision{{settle, 0}}},
		{"bad token", []upstream.Class{upstream.BadToken}, []decision{{settle, 0}}},
		{"gone", []upstream.Class{upstream.Gone}, []decision{{settle, 0}}},
		{"unknown", []upstream.Class{upstream.Unknown}, []decision{{settle, 0}}},
		{"changed once", []upstream.Class{upstream.BadPriority, upstream.BadPriority}, []decision{{amendRetry, 0}, {drop, 0}}},
		{"changed once in all", []upstream.Class{upstream.BadPushType, upstream.BadExpiration}, []decision{{amendRetry, 0}, {drop, 0}}},
		{"renewed once, then held", []upstream.Class{upstream.StaleToken, upstream.StaleToken, upstream.StaleToken}, []decision{{renewRetry, 0}, after(1), after(2)}},
		{"held", []upstream.Class{upstream.CredentialRefused, upstream.CredentialRefused, upstream.Accepted}, []decision{after(1), after(2), {settle, 0}}},
		{"too many JWTs", []upstream.Class{upstream.TokenUpdates, upstream.TokenUpdates}, []decision{after(1), after(2)}},
		{"unavailable", []upstream.Class{upstream.ServerError, upstream.ServerError, upstream.ServerError, upstream.ServerError, upstream.ServerError}, []decision{after(1), after(2), after(4), after(5), after(5)}},
		{"one trouble and another", []upstream.Class{upstream.ServerError, upstream.CredentialRefused, upstream.NoConnection}, []decision{after(1), after(2), after(4)}},
		{"not looked at", []upstream.Class{upstream.Unprocessed, upstream.Unprocessed, upstream.Unprocessed, upstream.ServerError, upstream.Unprocessed}, []decision{atOnce, after(1), after(2), after(1), atOnce}},
		{"ambiguous once", []upstream.Class{upstream.NoAnswer, upstream.NoAnswer}, []decision{after(1), {drop, 0}}},
		{"ambiguous once in all", []upstream.Class{upstream.NoAnswer, upstream.ServerError, upstream.NoAnswer}, []decision{after(1), after(1), {drop, 0}}},
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
			if got, want := p.next(upstream.Throttled, exact), (decision{do: retry, after: delay}); got != want {
				t.Fatalf("attempt %d: got %+v, want %+v", i+1, got, want)
			}
		}
		if got := p.next(upstream.Throttled, exact); got.do != drop {
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
