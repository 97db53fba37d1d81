package pace

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

func TestFault(t *testing.T) {
	const bad, good = "it cannot be written", "it can be written again"
	for _, tt := range []struct {
		name string
		met  string // a letter each second: f fails, w works, a dot is nothing
		want []string
	}{
		{"never", strings.Repeat("w", 100), nil},
		{"once", "wwfww", []string{bad, good}},
		{"for long", strings.Repeat("f", 150) + "w", []string{bad, bad, bad, good}},
		{"now and then", strings.Repeat("fw", 75), []string{bad, good, bad, good, bad, good}},
		{"again within the minute, and for long", "fw" + strings.Repeat("f", 70) + "w", []string{bad, good, bad, good}},
		{"again after the minute", "fw" + strings.Repeat(".", 60) + "fw", []string{bad, good, bad, good}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log strings.Builder
			at := time.Unix(1_800_000_000, 0)
			f := NewFault(zerolog.New(&log), func() time.Time { return at }, bad, good)
			for _, met := range tt.met {
				switch met {
				case 'f':
					f.Failed(errors.New("no space"))
				case 'w':
					f.Worked()
				}
				at = at.Add(time.Second)
			}
			var got []string
			for line := range strings.Lines(log.String()) {
				for _, word := range []string{bad, good} {
					if strings.Contains(line, word) {
						got = append(got, word)
					}
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
