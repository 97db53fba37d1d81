package apnssim

import "encoding/json"

// Scenario says how the simulator behaves. It is plain data, the same in Go, in
// a file for the sim command, and in POST /scenario. The zero Scenario is a
// healthy APNs. What is drawn by lot is drawn per connection from Seed.
type Scenario struct {
	Seed        uint64     `json:"seed,omitempty"`
	Environment string     `json:"environment,omitempty"` // production or sandbox; empty: by :authority, if it is Apple's
	Latency     Latency    `json:"latency,omitzero"`
	Reasons     []Rule     `json:"reasons,omitempty"` // the first that applies counts
	Outage      *Outage    `json:"outage,omitempty"`
	Keys        []Key      `json:"keys,omitempty"`         // whose provider tokens are valid; none: any well-formed one is
	Topics      []string   `json:"topics,omitempty"`       // others are TopicDisallowed; none: all are allowed
	RequireJSON bool       `json:"require_json,omitempty"` // a payload that is not a JSON object is PayloadEmpty
	DeviceLimit *RateLimit `json:"device_limit,omitempty"` // more for one device is TooManyRequests
	KeyUpdates  *RateLimit `json:"key_updates,omitempty"`  // of new provider tokens of one key
	Bind        bool       `json:"bind,omitempty"`         // a connection keeps the keys and topics of its first push

	MaxConcurrentStreams int         `json:"max_concurrent_streams,omitempty"` // 0: 1000
	Throttle             *Throttle   `json:"throttle,omitempty"`
	Windows              Windows     `json:"windows,omitzero"`
	GoAway               *GoAway     `json:"goaway,omitempty"`
	CertificateGoAway    bool        `json:"certificate_goaway,omitempty"` // trouble with a certificate ends the connection
	ErrorLimit           *ErrorLimit `json:"error_limit,omitempty"`
	Resets               *Resets     `json:"resets,omitempty"`
	BlackHole            *BlackHole  `json:"black_hole,omitempty"`
	SlowBody             *SlowBody   `json:"slow_body,omitempty"`
}

// Latency is the time from the end of a request to its answer: the fixed part
// and a random one between 0 and the jitter.
type Latency struct {
	Fixed  float64 `json:"fixed_ms,omitempty"`
	Jitter float64 `json:"jitter_ms,omitempty"`
}

// Rule answers the pushes to some device tokens, once everything in the request
// itself is found in order.
type Rule struct {
	Prefix      string          `json:"prefix,omitempty"`      // of the token in lower-case hex; empty: all tokens
	Topic       string          `json:"topic,omitempty"`       // empty: all topics
	Probability float64         `json:"probability,omitempty"` // 0: always
	Times       int             `json:"times,omitempty"`       // so often, then no more; 0: no end
	Status      int             `json:"status,omitempty"`      // 0: the one that belongs to the reason; 200 accepts
	Reason      Reason          `json:"reason,omitempty"`
	Timestamp   json.RawMessage `json:"timestamp,omitempty"` // verbatim in the body; absent: for 410, the time in ms
	Body        *string         `json:"body,omitempty"`      // verbatim instead of Apple's JSON
	Latency     *Latency        `json:"latency,omitempty"`   // instead of the scenario's
}

// Outage is a server in trouble. Requests are not looked at, but recorded.
type Outage struct {
	Probability float64 `json:"probability,omitempty"`        // 0: always
	Status      int     `json:"status,omitempty"`             // 0: the one that belongs to the reason
	Reason      Reason  `json:"reason,omitempty"`             // empty: ServiceUnavailable
	Refuse      bool    `json:"refuse_connections,omitempty"` // open connections are cut, new ones refused
}

// Key is a provider's signing key that is trusted.
type Key struct {
	KeyID       string   `json:"key_id"`
	TeamID      string   `json:"team_id"`
	PEM         string   `json:"pem"`                   // the public key, or the .p8 that Apple gave out
	Environment string   `json:"environment,omitempty"` // in the other one it is BadEnvironmentKeyInToken; empty: both
	Topics      []string `json:"topics,omitempty"`      // with others it is TopicDisallowed; none: all
}

// RateLimit admits so many within a period, which begins with the first.
type RateLimit struct {
	Count   int     `json:"count"`
	Seconds float64 `json:"seconds"`
}

// ErrorLimit ends a connection, in order, after so many errors: answers with 4xx,
// of which Apple does not count 410.
type ErrorLimit struct {
	Errors    int `json:"errors,omitempty"`     // 0: no end
	BadTokens int `json:"bad_tokens,omitempty"` // of those, BadDeviceToken; 0: no end
}

// Throttle is how APNs treats a connection that has not proved itself: Low
// streams at first, MaxConcurrentStreams after an accepted push, Low again
// after a rejection with 4xx but 410.
type Throttle struct {
	Low int `json:"low,omitempty"` // 0: 1
}

// Windows are the flow-control windows for what clients send, in bytes.
type Windows struct {
	Stream     int     `json:"stream,omitempty"`     // 0: 65,535
	Connection int     `json:"connection,omitempty"` // at least 65,535; 0: 65,535
	Return     float64 `json:"return_ms,omitempty"`  // credit comes back so much later, as over a long round trip
}

// GoAway ends connections after so many complete requests.
type GoAway struct {
	After int     `json:"after,omitempty"`    // 0: at once
	Mode  string  `json:"mode,omitempty"`     // graceful (default), double, abrupt, cut
	Cause Reason  `json:"reason,omitempty"`   // in the frame's JSON debug data; empty: no data
	Times int     `json:"times,omitempty"`    // so many connections, then no more; 0: no end
	Pause float64 `json:"pause_ms,omitempty"` // between the frames of double
}

// The ways in which a connection can end.
const (
	Graceful = "graceful" // streams that are open are answered, later ones ignored
	Double   = "double"   // first without a limit, then, after Pause, as Graceful
	Abrupt   = "abrupt"   // what has a verdict is answered at once, nothing else is looked at
	Cut      = "cut"      // no GOAWAY: a TCP reset, the open streams never get their answer
)

// Resets ends streams with RST_STREAM instead of an answer.
type Resets struct {
	Probability float64 `json:"probability,omitempty"` // 0: always
	Code        string  `json:"code,omitempty"`        // as in RFC 9113, 7; default by When
	When        string  `json:"when,omitempty"`        // unseen (default), lost, finished
}

// The moments of a reset.
const (
	Unseen   = "unseen"   // the request was not looked at; REFUSED_STREAM
	Lost     = "lost"     // the push has its verdict, the answer is lost; INTERNAL_ERROR
	Finished = "finished" // after the answer; NO_ERROR
)

// BlackHole makes connections silent after so many complete requests: nothing
// is sent any more, not even to a PING.
type BlackHole struct {
	After  int  `json:"after,omitempty"`
	Times  int  `json:"times,omitempty"`  // so many connections, then no more; 0: no end
	Accept bool `json:"accept,omitempty"` // pushes still get their verdict, which is not sent
}

// SlowBody sends the body of an answer in pieces.
type SlowBody struct {
	Bytes int     `json:"bytes,omitempty"`    // of a piece; 0: 1
	Pause float64 `json:"pause_ms,omitempty"` // before each
}

// ParseScenario reads a scenario strictly: an unknown key is an error.
func ParseScenario(text []byte) (Scenario, error) {
	var s Scenario
	if err := decode(text, &s); err != nil {
		return Scenario{}, err
	}
	_, err := newScript(s)
	return s, err
}
