package clock

import (
	"testing"
	"time"

	"apnsbridge/bridge/clock/clocktest"
)

// What lanes are told of the wall: a step counts once it has lasted for ten minutes,
// and what is monotonic never notices.
func TestClock(t *testing.T) {
	type reading struct {
		after, step time.Duration // since the start, and of the wall from then on
		want        time.Duration // the wall since its time at the start
	}
	const minute, hour = time.Minute, time.Hour
	tests := []struct {
		name     string
		readings []reading
	}{
		{"steady", []reading{{minute, 0, minute}, {30 * hour, 0, 30 * hour}}},
		{"slewed", []reading{{minute, time.Second, minute}, {20 * minute, 2 * time.Second, 20 * minute}, {hour, -time.Second, hour}}},
		{"back, and right again", []reading{{minute, -hour, minute}, {10 * minute, -hour, 10 * minute}, {11 * minute, 0, 11 * minute}, {hour, 0, hour}}},
		{"back for good", []reading{{minute, -hour, minute}, {11 * minute, -hour, 11*minute - hour}, {hour, -hour, 0}}},
		{"forward for good", []reading{{minute, 9 * hour, minute}, {11 * minute, 9 * hour, 11*minute + 9*hour}}},
		{"forward, right, and forward again", []reading{
			{minute, hour, minute}, {9 * minute, 0, 9 * minute}, {10 * minute, hour, 10 * minute}, {12 * minute, hour, 12 * minute},
			{20 * minute, hour, 20*minute + hour}}},
		{"twice, and back both", []reading{
			{minute, hour, minute}, {11 * minute, hour, 11*minute + hour}, {12 * minute, 0, 12*minute + hour}, {22 * minute, 0, 22 * minute}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Now()
			var read time.Time
			read = start
			c := New(func() time.Time { return read })
			for _, r := range tt.readings {
				read = clocktest.Stepped(start.Add(r.after), r.step)
				want := start.UnixNano() + int64(r.want)
				if got := c.Now(); got.Mono != r.after || max(got.Wall-want/1e9, want/1e9-got.Wall) > 2 {
					t.Errorf("after %v and a step of %v: %v monotonic, wall %v; want %v and %v", r.after, r.step,
						got.Mono, time.Duration(got.Wall*1e9-start.UnixNano()).Round(time.Second), r.after, r.want)
				}
			}
		})
	}
}
