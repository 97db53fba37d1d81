package health

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/bridge/upstream"
)

// TestStrangeWords: each is logged once, as long as they are few. A server with a new one for each notification
// is no weapon: its words have a line now and then.
func TestStrangeWords(t *testing.T) {
	var log strings.Builder
	h := New("mail", zerolog.New(&log))
	answer := func(from, to int) (lines int) {
		before := strings.Count(log.String(), `"reason"`)
		for n := from; n < to; n++ {
			for range 2 {
				v := upstream.Verdict{Class: upstream.Unknown, Code: 400, Reason: fmt.Sprint(n)}
				h.Note(Scope{}, Came{When: time.Duration(n)}, false, v, says)
			}
		}
		return strings.Count(log.String(), `"reason"`) - before
	}
	if got := answer(0, strangeWords); got != strangeWords {
		t.Errorf("%d words have %d lines", strangeWords, got)
	}
	if got := answer(strangeWords, 5_000); got == 0 || got > 3 {
		t.Errorf("5,000 more have %d lines, want a few", got)
	}
}
