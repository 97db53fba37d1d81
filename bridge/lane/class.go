package lane

import "time"

// Class is what the outcome of one attempt says.
type Class uint8

// The classes. Doors rely on their order.
const (
	Accepted          Class = iota
	BadToken                // only the token is wrong: APNs has checked credential and topic
	Gone                    // the device is gone; credential and topic were checked
	Throttled               // 429 for the device; credential and topic were checked
	Malformed               // the request is wrong: APNs answers, but may not have checked anything else
	Amended                 // the same, and the request was changed: ask again
	Strange                 // an unknown reason
	TopicRefused            // the credential was checked
	CredentialRefused       //
	Failed                  // 5xx
	NoConnection            // there is none to APNs
	NoAnswer                // the request was written, and perhaps read
	Unlooked                // APNs has not processed the request
	Renewed                 // there is a new JWT: ask again
)

// throttled are the waits for a device for which APNs gets too many requests.
// After the last one the notification is given up.
var throttled = [...]time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute}

// strange are the waits after an unknown reason: ten tries in a day.
var strange = [...]time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 4 * time.Hour, 6 * time.Hour, 10 * time.Hour}

// Fate is what an answer means to a notification.
type Fate uint8

// The fates.
const (
	Over    Fate = iota // the verdict is final
	GivenUp             // asked about often enough, without a verdict
	Waits               // asked about again, now or later
)
