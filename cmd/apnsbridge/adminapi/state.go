// Package adminapi is what the admin port answers as JSON: the gateway writes it, and commands read it.
package adminapi

import "time"

// State is how the gateway is, as GET /api/state.json answers.
type State struct {
	Ready   bool      `json:"ready"`
	State   string    `json:"state"`
	Version string    `json:"version"`
	Loaded  time.Time `json:"loaded"` // when the configuration was read
	Remarks []Remark  `json:"remarks"`
	Limits  []Limit   `json:"limits"`
	Refused []Client  `json:"refused_clients"` // at the door, latest first
	Apps    []App     `json:"apps"`
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
	Admit   string    `json:"admit"` // the line that would, under the clients of its app
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
	Accepted    uint64  `json:"accepted"`
	BadTokens   uint64  `json:"bad_tokens"`
	Gone        uint64  `json:"unregistered"`
	Refused     uint64  `json:"refused"`
	Waiting     int     `json:"waiting"`
	OnDisk      int     `json:"on_disk"`
	OldestAge   float64 `json:"oldest_waiting_age_seconds"`
	P99         float64 `json:"verdict_p99_seconds"`    // from taken to APNs' verdict, since the start
	Refusal     string  `json:"last_refusal,omitempty"` // what APNs has refused last, and why

	Failures []Failure `json:"failures,omitempty"` // the latest refused frames and error packets, latest first
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
