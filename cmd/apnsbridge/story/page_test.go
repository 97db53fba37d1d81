package story

import (
	"context"
	"fmt"
	"testing"
)

// A visitor who has cut APNs off reads in plain words that the story waits in vain.
func TestComplaint(t *testing.T) {
	s := &Stage{ctx: t.Context(), changed: make(chan struct{})}
	ctx, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	s.complain(fmt.Errorf("the story has stopped: %w",
		s.until(ctx, "Anna's phone shows it", func() bool { return false })))
	if want := "the story has stopped: Anna's phone shows it: this has taken too long"; s.problem != want {
		t.Errorf("got %q, want %q", s.problem, want)
	}
}
