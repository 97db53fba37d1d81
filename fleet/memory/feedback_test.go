package memory

import (
	"context"
	"testing"
	"time"

	"apnsbridge/store"
)

// failing is a shared feedback list that can be unavailable.
type failing struct {
	store.Feedback
	away bool
}

func (f *failing) Record(ctx context.Context, app string, dead ...store.Dead) error {
	if f.away {
		return errAway
	}
	return f.Feedback.Record(ctx, app, dead...)
}

func (f *failing) Revive(ctx context.Context, app string, token []byte, sent time.Time) error {
	if f.away {
		return errAway
	}
	return f.Feedback.Revive(ctx, app, token, sent)
}

// What happens while the shared list is away is handed over when it is back.
func TestFeedbackAway(t *testing.T) {
	fleet := &failing{Feedback: openBolt(t).Feedback()}
	f := NewFeedback(FeedbackConfig{Shared: fleet, Own: openBolt(t).Feedback(), Patience: time.Second,
		Apps: func() []string { return []string{"mail"} }})
	now := time.Now().Truncate(time.Millisecond).UTC()
	record := func(token string) {
		t.Helper()
		if err := f.Record(ctx, "mail", store.Dead{Token: []byte(token), Time: now}); err != nil {
			t.Fatal(err)
		}
	}
	record("one")
	fleet.away = true
	record("two")
	record("three")
	for _, token := range []string{"one", "two"} {
		if err := f.Revive(ctx, "mail", []byte(token), now.Add(time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	if !f.Listed("mail", []byte("three")) {
		t.Error("a token on the node's own list is not listed")
	}
	fleet.away = false
	f.HandOver(ctx)
	list, err := fleet.Pending(ctx, "mail", 0, 10)
	if err != nil || len(list) != 1 || string(list[0].Token) != "three" {
		t.Errorf("got the fleet's list %v and error %v, want token three alone", list, err)
	}
}
