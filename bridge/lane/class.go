package lane

import "time"

// Class is what the end of one attempt says.
type Class uint8

// The classes, in an order that doors make use of.
const (
	Accepted          Class = iota
	BadToken                // the token alone is wrong: APNs has looked at credential and topic
	Gone                    // the device has gone; the same
	Throttled               // 429 for the device; the same
	Malformed               // the request is wrong: APNs answers, but may not have looked further
	Amended                 // the same, and the request was changed: it is to be asked again
	Strange                 // words that are not known
	TopicRefused            // the credential was looked at
	CredentialRefused       //
	Failed                  // 5xx
	NoConnection            // there is none to APNs
	NoAnswer                // the request was written, and perhaps read
	Unlooked                // APNs has not looked at the request
	Renewed                 // there is another JWT: it is to be asked again
)

// throttled are the waits for a device for which APNs gets too many requests.
// Behind the last one the notification is given up.
var throttled = [...]time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute}

// strange are the waits behind words that are not known: ten tries in a day.
var strange = [...]time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 4 * time.Hour, 6 * time.Hour, 10 * time.Hour}

// Fate is what an answer means to a notification.
type Fate uint8

// The fates.
const (
	Over    Fate = iota // the verdict is final
	GivenUp             // it was asked about often enough, without a verdict
	Waits               // it is asked about again, now or later
)
