// Package adminapi is what the admin port answers as JSON: the gateway writes it, and commands read it.
package adminapi

import "time"

// State is how the gateway is, as GET /api/state.json answers.
type State struct {
	Ready   bool      `json:"ready"`
	State   string    `json:"state"`
	Version string    `json:"version"`
	Now     time.Time `json:"now"`
	Loaded  time.Time `json:"loaded"` // when the configuration was read
	Remarks []Remark  `json:"remarks"`
	Whole   []Figure  `json:"whole"` // figures of the whole gateway
	Plots   []Plot    `json:"plots"` // the last hour, and the last day
	Limits  []Limit   `json:"limits"`
	Refused []Client  `json:"refused_clients"` // at the door, latest first
	Apps    []App     `json:"apps"`
}

// Figure is a number that matters, and what it may be at most.
type Figure struct {
	Name  string `json:"name"`
	Unit  string `json:"unit,omitempty"` // bytes, or days that are left
	Value int64  `json:"value"`
	Of    int64  `json:"of,omitempty"`
}

// Plot is a span of the past, in columns of a number for each step.
type Plot struct {
	Span      string              `json:"span"` // hour or day
	Step      float64             `json:"step_seconds"`
	From      time.Time           `json:"from"` // the beginning of the first step
	Outcomes  map[string][]uint32 `json:"notifications"`
	P50       []float64           `json:"verdict_p50_seconds"` // 0: there was no verdict
	P99       []float64           `json:"verdict_p99_seconds"`
	Waiting   []int32             `json:"waiting"`
	OldestAge []float64           `json:"oldest_waiting_age_seconds"`
	TLS       map[string][]int32  `json:"connections"` // of providers, by version of TLS
}

// Limit is a bound, by its name in the configuration.
type Limit struct {
	Name string `json:"name"`
	Used int64  `json:"used"`
	Peak int64  `json:"peak"` // since the start
	Max  int64  `json:"max"`
}

// Client is one that was not admitted.
type Client struct {
	Last    time.Time `json:"last"`
	Address string    `json:"address"`
	Subject string    `json:"subject,omitempty"`
	Reason  string    `json:"reason"`
	Admit   string    `json:"admit,omitempty"`  // the line that would, under the clients of its app
	Remedy  string    `json:"remedy,omitempty"` // what to do, where its handshake failed
	Times   int       `json:"times"`
}

// Remark is what is to be seen to.
type Remark struct {
	Level string `json:"level"`
	App   string `json:"app,omitempty"`
	Text  string `json:"text"`
}

// App is how one of the apps fares.
type App struct {
	Name        string  `json:"name"`
	Topic       string  `json:"topic"`
	Environment string  `json:"environment"`
	Level       string  `json:"level"`
	State       string  `json:"state"`
	Credential  string  `json:"credential"`
	Connections int     `json:"connections"`
	Taken       uint64  `json:"taken"`
	Ended       uint64  `json:"ended"` // of those, with an outcome; others wait, or were sent again and recognised
	Accepted    uint64  `json:"accepted"`
	BadTokens   uint64  `json:"bad_tokens"`
	Gone        uint64  `json:"unregistered"`
	Refused     uint64  `json:"refused"`
	Waiting     int     `json:"waiting"`
	OnDisk      int     `json:"on_disk"`
	OldestAge   float64 `json:"oldest_waiting_age_seconds"`
	P99         float64 `json:"verdict_p99_seconds"`    // from taken to APNs' verdict, since the start
	Refusal     string  `json:"last_refusal,omitempty"` // what APNs has refused last, and why

	CredentialEnds *Remark   `json:"credential_ends,omitempty"` // once that is near
	LastHour       AppPast   `json:"last_hour,omitzero"`
	Lanes          []Lane    `json:"lanes,omitempty"`
	Packets        []Count   `json:"packets,omitempty"` // error packets, by status
	Resends        []Count   `json:"resends,omitempty"`
	Feedback       []Count   `json:"feedback,omitempty"`
	Reads          []Read    `json:"feedback_reads,omitempty"` // the last of each client, latest first
	Failures       []Failure `json:"failures,omitempty"`       // the latest refused frames and error packets, latest first
}

// AppPast is an app's last hour, a number for each minute.
type AppPast struct {
	Accepted []uint32 `json:"accepted"`
	Failed   []uint32 `json:"failed"`
}

// Lane is an app's way into one environment of APNs.
type Lane struct {
	Environment string    `json:"environment"`
	Connections int       `json:"connections"`
	InFlight    int       `json:"in_flight"`
	Streams     int       `json:"streams"` // that may be open on these connections
	Answers     []Count   `json:"verdicts,omitempty"`
	Waiting     int       `json:"waiting"`
	OnDisk      int       `json:"on_disk"`
	OldestAge   float64   `json:"oldest_waiting_age_seconds"`
	ClosedSince time.Time `json:"closed_since,omitzero"` // notifications wait for APNs to take them again
	TopicsShut  int       `json:"topics_shut"`
	Retrying    int       `json:"devices_retrying"` // each for its own next attempt
	Probes      uint64    `json:"probes"`
	Dials       uint64    `json:"dials"`
	Fails       uint64    `json:"failed_dials"`
}

// Count is how often something came to pass.
type Count struct {
	What  string `json:"what"`
	Times uint64 `json:"times"`
}

// Read is when a client has read the feedback list.
type Read struct {
	Client  string    `json:"client"`
	Time    time.Time `json:"time"`
	Entries int       `json:"entries"`
}

// Failure is a refused frame, or an error packet.
type Failure struct {
	Time       time.Time `json:"time"`
	Status     uint8     `json:"status"`
	Identifier *uint32   `json:"identifier,omitempty"`
	Token      string    `json:"token,omitempty"` // its beginning
	Reason     string    `json:"reason"`
	Client     string    `json:"client,omitempty"` // the provider
	Address    string    `json:"address,omitempty"`
	Told       time.Time `json:"told,omitzero"` // when, if an error packet told it
}
