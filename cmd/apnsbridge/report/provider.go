package report

import (
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
}

// Provider is what is known of one: of a client at an address, for each shape of frames
// that it writes.
type Provider struct {
	Who
	Habits      Habits       `json:"habits"`
	First       time.Time    `json:"first_seen"`
	Last        time.Time    `json:"last_seen"`
	Connections uint64       `json:"connections"`
	Packets     uint64       `json:"packets"`                     // error packets that it was told
	BadTokens   uint64       `json:"bad_tokens"`                  // of its notifications, while it was known whose they are
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

// Library is what its habits look like.
func (p *Provider) Library() string { return p.Habits.Guess() }

// BadTokenRatio is the part of its notifications that went to bad tokens, 0 to 1.
func (p *Provider) BadTokenRatio() float64 {
	return min(1, float64(p.BadTokens)/float64(max(1, p.Habits.Frames)))
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

// key tells providers apart: two programs behind one certificate and address by what
// their first frames look like.
type key struct {
	app, client, address string
	command              binproto.Command
	layout               binproto.Layout // without priority
	expiry               Expiry
	mdm                  bool
}

func keyOf(who *Who, h *Habits) key {
	return key{who.App, who.Client, who.Address, h.Command, withoutPriority(h.Layout), h.Expiry, h.MDM}
}

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
