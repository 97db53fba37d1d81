package clocktest

import (
	"testing"
	"time"
)

func TestStepped(t *testing.T) {
	now := time.Now()
	for _, step := range []time.Duration{-time.Hour, 0, time.Second, 400 * 24 * time.Hour} {
		got := Stepped(now, step)
		if wall := got.Round(0).Sub(now.Round(0)); wall != step || got.Sub(now) != 0 {
			t.Errorf("a step of %v moves the wall by %v and the monotonic reading by %v", step, wall, got.Sub(now))
		}
	}
}
