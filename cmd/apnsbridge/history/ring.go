package history

import "time"

// ring has a point for each step of time, of which it keeps the latest.
type ring[P any] struct {
	step   time.Duration
	points []P
	number int64 // of the latest step, since 1970; 0: none yet
}

func newRing[P any](step time.Duration, length int) *ring[P] {
	return &ring[P]{step: step, points: make([]P, length)}
}

// at returns the point of a time, and whether it is a new one. Steps in between are
// empty. A time before the latest step belongs to that.
func (r *ring[P]) at(t time.Time) (p *P, fresh bool) {
	number := t.UnixNano() / int64(r.step)
	switch {
	case r.number == 0 || number-r.number > int64(len(r.points)):
		clear(r.points)
		r.number, fresh = number, true
	case number > r.number:
		for ; r.number < number; r.number++ {
			clear(r.points[r.index(r.number+1) : r.index(r.number+1)+1])
		}
		fresh = true
	}
	return &r.points[r.index(r.number)], fresh
}

func (r *ring[P]) index(number int64) int64 { return number % int64(len(r.points)) }

// last returns the points up to now, oldest first. Those that have not been yet, or are
// forgotten, are empty.
func (r *ring[P]) last(now time.Time) []P {
	all := make([]P, len(r.points))
	number := now.UnixNano() / int64(r.step)
	for i := range all {
		if n := number - int64(len(all)-1-i); n <= r.number && n > r.number-int64(len(all)) {
			all[i] = r.points[r.index(n)]
		}
	}
	return all
}
