package health

import (
	"sync/atomic"
	"time"
)

// Came is when a verdict came, and of which line it is: nil for that of a connection.
type Came struct {
	When time.Duration // by the lane's clock, which never goes back
	Line *Served
}

// Served is when APNs accepted something last. It is safe for concurrent use, and a nil one
// was never served.
type Served struct{ when atomic.Int64 }

// note takes the time of a verdict, which may come behind that of a later one.
func (s *Served) note(when time.Duration) {
	if s == nil {
		return
	}
	for {
		old := s.when.Load()
		if int64(when) <= old || s.when.CompareAndSwap(old, int64(when)) {
			return
		}
	}
}

func (s *Served) last() time.Duration {
	if s == nil {
		return -1
	}
	return time.Duration(s.when.Load())
}

// unserve notes that nothing is accepted of a scope.
func (h *Health) unserve(at Scope, came Came) {
	if at.Line == "" {
		h.unserved[at.Environment].note(came.When)
	}
}

// lastServed is that of a scope.
func (h *Health) lastServed(at Scope, came Came) *Served {
	if at.Line == "" {
		return &h.served[at.Environment]
	}
	return came.Line
}
