package report

import (
	"slices"
	"time"

	"apnsbridge/binproto"
)

// days are those of which notifications are counted, and after which TLS 1.0 counts as
// given up.
const days = 30

// Who is a provider as its connection shows it.
type Who struct {
	App     string    `json:"app"`
	Client  string    `json:"client"`  // the name that logs have
	Address string    `json:"address"` // without port
	Expires time.Time `json:"certificate_expires,omitzero"`
	TLS     string    `json:"tls"`    // the version; empty: terminated in front
	Cipher  string    `json:"cipher"` //
	JA3     string    `json:"ja3"`    // of its hello
	Stack   Stack     `json:"stack"`  // what its hello looks like
}

// Provider is what is known of one: of a client at an address, for each shape of frames
// that it writes.
type Provider struct {
	Who
	Kind        Kind         `json:"kind"`
	Habits      Habits       `json:"habits"`
	First       time.Time    `json:"first_seen"`
	Last        time.Time    `json:"last_seen"`
	Connections uint64       `json:"connections"`
	Packets     uint64       `json:"packets"`                     // error packets that it was told
	Verdicts    uint64       `json:"verdicts"`                    // of APNs, while it was known whose the notification is
	BadTokens   uint64       `json:"bad_tokens"`                  // of these
	Resends     Resends      `json:"resends,omitempty"`           // what it does behind an error packet
	Feedback    time.Time    `json:"feedback_last_read,omitzero"` // by its client, as Reads has it
	Days        [days]uint32 `json:"notifications_by_day"`        // the last one is Day
	Day         int64        `json:"day"`                         // since 1970

	live map[*Conn]Habits
}

// Resends is whether a provider sends again what stood behind an error packet.
type Resends string

// What may have been found out.
const (
	Unsettled    Resends = ""
	SendsAgain   Resends = "yes"
	NeverResends Resends = "never" // it is told nothing any more: its bad tokens go to the feedback list
)

// Guess is which library it may be.
func (p *Provider) Guess() Guess { return p.Habits.guess(p.Stack) }

// BadTokenRatio is the part of the verdicts that were for bad tokens, 0 to 1. Frames are no measure: one bad token
// has a provider write all again that stood behind it.
func (p *Provider) BadTokenRatio() float64 {
	return min(1, float64(p.BadTokens)/float64(max(1, p.Verdicts)))
}

// ADay is how many notifications it sent a day, on the days of the last 30 on which it
// sent any.
func (p *Provider) ADay() int {
	sum, active := 0, 0
	for _, n := range p.Days {
		sum += int(n)
		active += min(1, int(n))
	}
	return sum / max(active, 1)
}

// Kind is what the first frame of a connection looks like. It tells two programs behind one certificate and address
// apart, on whichever connection they come first. There are few, so that who varies its frames has few rows.
type Kind struct {
	Command  binproto.Command `json:"command"`
	Layout   binproto.Layout  `json:"layout"`    // without priority, if a library that is known writes it
	Expiry   Expiry           `json:"expiry"`    // if only one library writes it
	FromZero bool             `json:"from_zero"` // its identifier is 0, which a counter has once only
	MDM      bool             `json:"mdm"`
}

func kindOf(h *Habits) Kind {
	k := Kind{Command: h.Command, FromZero: !h.Nameless && h.First == 0, MDM: h.MDM}
	if bare := withoutPriority(h.Layout); slices.ContainsFunc(libraries, func(l library) bool {
		return l.command == binproto.Framed && withoutPriority(binproto.LayoutOf(l.items...)) == bare
	}) {
		k.Layout = bare
	}
	if h.Expiry.particular() {
		k.Expiry = h.Expiry
	}
	return k
}

// key tells providers apart.
type key struct {
	app, client, address string
	stack                Stack
	kind                 Kind
}

func keyOf(who *Who, k Kind) key { return key{who.App, who.Client, who.Address, who.Stack, k} }

func dayOf(t time.Time) int64 { return t.Unix() / (24 * 60 * 60) }

// turn makes the last day today's.
func (p *Provider) turn(now time.Time) {
	for today := dayOf(now); p.Day < today; p.Day++ {
		if today-p.Day >= days {
			p.Days, p.Day = [days]uint32{}, today
			return
		}
		copy(p.Days[:], p.Days[1:])
		p.Days[days-1] = 0
	}
}
