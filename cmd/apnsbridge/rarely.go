package main

import (
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// rarelyEvery is the least time between two lines that strangers can cause.
const rarelyEvery = time.Minute

// rarely is a line in the log that any stranger can cause: it is written at most
// once a minute, with the number of times that it was not.
type rarely struct {
	log  zerolog.Logger
	what string
	now  func() time.Time

	mu       sync.Mutex
	last     time.Time
	unlogged int
}

// say says it of who is at that address.
func (r *rarely) say(address string, why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if !r.last.IsZero() && now.Sub(r.last) < rarelyEvery {
		r.unlogged++
		return
	}
	r.log.Warn().Str("address", address).Int("unlogged", r.unlogged).AnErr("reason", why).Msg(r.what)
	r.last, r.unlogged = now, 0
}
