package page

import (
	"time"

	"apnsbridge/cmd/apnsbridge/history"
)

// Level is how urgent or how well something is. It is a class of page.css.
type Level string

// The levels, the most urgent first.
const (
	Bad  Level = "bad"
	Warn Level = "warn"
	Good Level = "good"
	Idle Level = "dim"
)

// Facts are how the gateway stands.
type Facts struct {
	Ready   bool
	State   string // in a word or a sentence
	Version string
	Now     time.Time
	Loaded  time.Time // when the configuration was read
	Remarks []Remark  // what is to be seen to
	Whole   []Figure  // figures of the whole gateway
	Limits  []Limit
	Apps    []App
	Refused []Refused // at the door, latest first
	Hour    []history.Point
	Day     []history.Point
}

// Remark is a sentence about something to be seen to, and whose it is.
type Remark struct {
	Level Level
	Text  string
	App   string // empty: no app's
}

// Refused is a client that was not admitted, and what would admit it: a line of its app's clients, or, where its
// handshake failed, what its sentence says.
type Refused struct {
	Last                                   time.Time
	Address, Subject, Reason, Line, Remedy string
	Times                                  int
}

// Figure is a number that matters, and what it may be at most.
type Figure struct {
	Name  string
	Unit  Unit
	Value int64
	Of    int64 // 0: it has no bound
}

// Unit is what a figure counts.
type Unit string

// The units.
const (
	Things Unit = ""
	Octets Unit = "bytes"
	Days   Unit = "days" // left
)

// Limit is a bound, by its name in the configuration.
type Limit struct {
	Name            string
	Used, Peak, Max int64 // Peak is the most that was used since the start
}

// App is an app's row.
type App struct {
	Name, Topic, Environment string
	Level                    Level
	State                    string // a word, or the sentence that says what is wrong
	Refusal                  string // what APNs has refused last, and why
	Taken, Accepted          uint64
	Ended                    uint64 // of Taken, with an outcome; others wait, or were sent again and recognised
	BadTokens, Gone, Refused uint64
	Connections              int // to APNs
	Waiting, OnDisk          int
	Oldest                   time.Duration // of those that wait
	P99                      time.Duration // from taken to verdict, since the start
	Credential               string
	Expiry                   *Remark // of the credential, once it is near
	Past                     []history.AppPoint
}

// AppFacts are an app's page.
type AppFacts struct {
	App
	Now      time.Time
	Lanes    []Lane
	Packets  []Count // error packets, by status
	Feedback []Count
	Reads    []Read // the last of each client, latest first
	Resends  []Count
	Failures []Failure // refused frames and error packets, latest first
	Metrics  []Metric  // all of its own that are not 0
}

// Metric is a figure of an app by its name in /metrics.
type Metric struct{ Name, Value string }

// Read is when a client has read the feedback list.
type Read struct {
	Client  string
	Time    time.Time
	Entries int
}

// Failure is a refused frame, or an error packet.
type Failure struct {
	Time       time.Time
	Status     uint8
	Identifier *uint32 // nil: it has none
	Token      string  // its beginning
	Reason     string
	Client     string // the provider; empty: not known
	Address    string
	Told       time.Time // when; zero: it was not
}

// Lane is an app's way into one environment of APNs.
type Lane struct {
	Environment  string
	Connections  int
	InFlight     int
	Streams      int // that may be open on these connections
	Answers      []Count
	Waiting      int
	OnDisk       int
	Oldest       time.Duration
	ClosedSince  time.Time // since when notifications wait for APNs; zero: they do not
	TopicsShut   int
	Retrying     int // devices that wait, each for its own next attempt
	Probes       uint64
	Dials, Fails uint64
}

// Count is how often something came to pass.
type Count struct {
	What  string
	Times uint64
}
