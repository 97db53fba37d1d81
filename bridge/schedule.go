package bridge

import (
	"time"

	"apnsbridge/bridge/upstream"
)

// throttledDelays are the waits for a device for which APNs gets too many
// requests. Behind the last one the notification is given up.
var throttledDelays = [...]time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute}

// action is what to do with a notification after an attempt.
type action uint8

const (
	settle     action = iota + 1 // the verdict is final
	retry                        // ask again after decision.after
	amendRetry                   // change the request as the class says, then ask again
	renewRetry                   // see to a new JWT and connection, then ask again
	drop                         // give up: settles as accepted, and is counted
)

type decision struct {
	do    action
	after time.Duration
}

// plan is how far the attempts at one notification have come. It decides; it
// has no clock.
type plan struct {
	failures  int  // ended by what is not the notification's fault, after which it waited for itself
	throttled int  // ended by 429 for the device
	unsent    int  // in a row ended without a look by APNs
	amended   bool // the request was changed once
	renewed   bool // the JWT was renewed for it once
	repeated  bool // an ambiguous attempt was repeated once
}

// next decides what follows an attempt that ended in class c, with the waits of
// b. What was not looked at is asked at once on another connection, the first
// time; all others have to wait.
func (p *plan) next(c upstream.Class, b *backoff) decision {
	if c != upstream.Unprocessed {
		p.unsent = 0
	}
	switch c {
	case upstream.Accepted, upstream.Refused, upstream.BadToken, upstream.Gone, upstream.Unknown:
		return decision{do: settle}
	case upstream.BadPriority, upstream.BadPushType, upstream.BadExpiration:
		if p.amended {
			return decision{do: drop}
		}
		p.amended = true
		return decision{do: amendRetry}
	case upstream.StaleToken:
		if !p.renewed {
			p.renewed = true
			return decision{do: renewRetry}
		}
	case upstream.Throttled:
		if p.throttled == len(throttledDelays) {
			return decision{do: drop}
		}
		p.throttled++
		return decision{do: retry, after: throttledDelays[p.throttled-1]}
	case upstream.NoAnswer:
		if p.repeated {
			return decision{do: drop}
		}
		p.repeated = true
		return decision{do: retry, after: b.after(0)}
	case upstream.Unprocessed:
		if p.unsent++; p.unsent == 1 {
			return decision{do: retry}
		}
		return decision{do: retry, after: b.after(p.unsent - 2)}
	}
	p.failures++
	return decision{do: retry, after: b.after(p.failures - 1)}
}

// due says whether a notification that expires at the given second, 0 for
// never, is still worth an attempt.
func due(expires int64, now time.Time) bool {
	return expires == 0 || now.Unix() < expires
}
