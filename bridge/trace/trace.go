// Package trace remembers what became of the notifications that an operator asks
// about: step by step, in memory that is bounded in notifications and in bytes, oldest
// out first. It knows neither bridge nor clock.
package trace

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// ID names a notification: its apns-id, which stays the same from taken to told.
type ID [16]byte

// Note is a notification that is traced, with all that came to pass.
type Note struct {
	APNsID      string  `json:"apns_id"`
	App         string  `json:"app"`
	Environment string  `json:"environment"`
	Topic       string  `json:"topic"`
	Token       string  `json:"token"`                // its beginning, as Watch.Describe gives it
	Identifier  *uint32 `json:"identifier,omitempty"` // the provider's name for it; nil: none, or it is not known
	Client      string  `json:"client,omitempty"`     // the provider, as logs have it
	Address     string  `json:"address,omitempty"`    // of the provider
	Session     uint64  `json:"session,omitempty"`    // of the provider's connection, a number of our own
	PushType    string  `json:"push_type"`
	Priority    uint8   `json:"priority"`
	Expiration  int64   `json:"expiration"` // seconds since 1970; -1: APNs is told none
	Size        int     `json:"payload_bytes"`
	Payload     string  `json:"payload"` // its texts left out, unless they were asked for
	Endpoint    string  `json:"endpoint"`
	OwnCA       bool    `json:"own_ca,omitempty"` // the endpoint's certificate is signed by an authority of the configuration
	Credential  string  `json:"credential"`       // its kind: token or certificate

	Steps   []Step `json:"steps"`
	Missing int    `json:"missing_steps,omitempty"` // beyond the most that are kept
}

// Step is something that came to pass.
type Step struct {
	At     time.Time `json:"at"`
	What   What      `json:"what"`
	Detail string    `json:"detail,omitempty"`
}

// What is the kind of a step.
type What string

// The kinds, in the order in which they can come first.
const (
	Taken     What = "taken"     // from its provider
	Read      What = "read"      // from the spool
	Swallowed What = "swallowed" // it was sent before, and is delivered once
	Forwarded What = "forwarded" // after all
	Waits     What = "waits"     // the detail says for what
	Stored    What = "stored"    // in the spool
	Released  What = "released"  // its provider hears no more of it
	Sent      What = "sent"      // to APNs
	Answered  What = "answered"  // by APNs
	Ended     What = "ended"     // without APNs' verdict
	Told      What = "told"      // its provider
	Listed    What = "listed"    // its device, on the feedback list
)

// stepsMost is how many steps of a notification are kept: the first half, and the
// latest.
const stepsMost = 32

// noteBytes is what a note may take on the average.
const noteBytes = 1 << 10

// Ring keeps the latest notes. Its zero value keeps none.
type Ring struct {
	most int

	mu    sync.Mutex
	order []*entry // oldest first, from first on
	first int
	by    map[ID]*entry
	bytes int
}

type entry struct {
	id   ID
	size int
	Note
}

// NewRing makes one for so many notes, and a KiB for each.
func NewRing(most int) *Ring { return &Ring{most: most, by: make(map[ID]*entry)} }

// Begin keeps a note, in the place of the oldest if there is no room. One that is
// kept already stays.
func (r *Ring) Begin(id ID, n Note) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.by[id] != nil || r.most == 0 {
		return
	}
	e := &entry{id: id, Note: n}
	r.order = append(r.order, e)
	r.by[id] = e
	r.account(e, noteOverhead+len(n.Payload)+len(n.Topic)+len(n.Client)+len(n.Address)+len(n.Token)+len(n.Endpoint))
}

// Knows reports whether there is a note of that name.
func (r *Ring) Knows(id ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.by[id] != nil
}

// Add adds a step to the note of that name, if it is kept.
func (r *Ring) Add(id ID, s Step) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.by[id]; e != nil {
		r.add(e, s)
	}
}

// AddNamed adds a step to the latest note with a provider's name for it, if it is kept.
func (r *Ring) AddNamed(session uint64, identifier uint32, s Step) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range slices.Backward(r.order[r.first:]) {
		if e.Session == session && e.Identifier != nil && *e.Identifier == identifier {
			r.add(e, s)
			return
		}
	}
}

func (r *Ring) add(e *entry, s Step) {
	if len(e.Steps) == stepsMost {
		dropped := e.Steps[stepsMost/2]
		e.Steps = slices.Delete(e.Steps, stepsMost/2, stepsMost/2+1)
		e.Missing++
		r.account(e, -stepBytes-len(dropped.Detail))
	}
	e.Steps = append(e.Steps, s)
	r.account(e, stepBytes+len(s.Detail))
}

// What a note and a step take besides their texts.
const (
	noteOverhead = 400
	stepBytes    = 64
)

// account counts more bytes of e, and forgets the oldest for which there is no room.
func (r *Ring) account(e *entry, more int) {
	e.size += more
	r.bytes += more
	for len(r.by) > r.most || r.bytes > r.most*noteBytes {
		oldest := r.order[r.first]
		r.order[r.first] = nil
		r.first++
		r.bytes -= oldest.size
		delete(r.by, oldest.id)
	}
	if r.first > len(r.order)/2 {
		r.order, r.first = append(r.order[:0], r.order[r.first:]...), 0
	}
}

// Used is how many notes are kept, and their bytes.
func (r *Ring) Used() (notes, bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.by), r.bytes
}

// Question says which notes are wanted: those that fit all that is not empty.
type Question struct {
	App        string
	Prefix     string // of the token, in hex
	APNsID     string
	Identifier *uint32
	Limit      int // of notes, the latest; 0: all
}

// Ask gives copies of the notes that fit, oldest first.
func (r *Ring) Ask(q Question) (all []Note) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range slices.Backward(r.order[r.first:]) {
		if q.Limit > 0 && len(all) == q.Limit {
			break
		}
		if q.fits(&e.Note) {
			n := e.Note
			n.Steps = slices.Clone(n.Steps)
			all = append(all, n)
		}
	}
	slices.Reverse(all)
	return all
}

func (q Question) fits(n *Note) bool {
	short := min(len(q.Prefix), len(n.Token)) // of a token no more is known than is shown
	return n.App == q.App && n.Token[:short] == q.Prefix[:short] &&
		(q.APNsID == "" || strings.EqualFold(q.APNsID, n.APNsID)) &&
		(q.Identifier == nil || n.Identifier != nil && *n.Identifier == *q.Identifier)
}
