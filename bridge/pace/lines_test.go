package pace

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// A flood of lines leaves as many as its rate allows, and their number; another
// level is not hidden by it, and an error never left out.
func TestLines(t *testing.T) {
	var out bytes.Buffer
	at := time.Unix(1000, 0)
	l := newLines(Rate{Count: 10, Per: time.Second}, func() time.Time { return at })
	log := zerolog.New(&out).Sample(l).Hook(l)
	for range 1000 {
		log.Info().Msg("flood")
	}
	log.Warn().Msg("one")
	log.Error().Msg("two")
	for range 10 {
		at = at.Add(100 * time.Millisecond)
		log.Info().Msg("flood")
		log.Info().Msg("flood")
	}
	lines := map[string]int{}
	var unlogged uint64
	for dec := json.NewDecoder(&out); dec.More(); {
		var line struct {
			Message  string
			Unlogged uint64
		}
		if err := dec.Decode(&line); err != nil {
			t.Fatal(err)
		}
		lines[line.Message]++
		unlogged += line.Unlogged
	}
	if lines["flood"] != 20 || lines["one"] != 1 || lines["two"] != 1 || unlogged != 990+9 {
		t.Errorf("got %v and %d unlogged, want 20 of the flood and 999 unlogged", lines, unlogged)
	}
}
