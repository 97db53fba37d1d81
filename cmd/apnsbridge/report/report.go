package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"apnsbridge/binproto"
)

// The bounds of a Report.
const (
	most = 2_000 // providers; the one that was seen last longest ago makes room
	days = 30    // of which notifications are counted, and after which TLS 1.0 counts as given up
)

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
	Feedback    time.Time    `json:"feedback_last_read,omitzero"` // by its client
	Days        [days]uint32 `json:"notifications_by_day"`        // the last one is Day
	Day         int64        `json:"day"`                         // since 1970

	live map[*Conn]Habits
}

// Library is what its habits look like.
func (p *Provider) Library() string { return p.Habits.Guess() }

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

// Report is safe for concurrent use.
type Report struct {
	now func() time.Time
	mu  sync.Mutex
	by  map[key]*Provider
}

// New makes an empty report, with a clock of the wall.
func New(now func() time.Time) *Report { return &Report{now: now, by: make(map[key]*Provider)} }

// Conn is a connection of a provider. See may be called by one goroutine only.
type Conn struct {
	report *Report
	who    Who
	habits Habits
	noted  uint64 // frames that the report knows of
	entry  *Provider
}

// Open begins a connection. It is not in the report before its first frame.
func (r *Report) Open(who Who) *Conn { return &Conn{report: r, who: who} }

// noteEvery is after how many frames of a connection the report hears of them.
const noteEvery = 256

// See takes a frame.
func (c *Conn) See(n *binproto.Notification) {
	c.habits.See(n)
	if c.habits.Frames == 1 || c.habits.Frames-c.noted >= noteEvery {
		c.note()
	}
}

// note lets the report know what was seen so far.
func (c *Conn) note() {
	r := c.report
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if c.entry == nil {
		if c.entry = r.enter(c, now); c.entry == nil {
			c.noted = c.habits.Frames // until then it is asked again with as many more
			return
		}
	}
	p := c.entry
	p.live[c] = c.habits
	p.Last = now
	p.turn(now)
	p.Days[days-1] += uint32(c.habits.Frames - c.noted)
	c.noted = c.habits.Frames
}

// enter finds or makes the provider of a connection; nil: there is no room while all
// others are connected. The caller holds r.mu.
func (r *Report) enter(c *Conn, now time.Time) *Provider {
	k := keyOf(&c.who, &c.habits)
	p := r.by[k]
	if p == nil {
		if len(r.by) >= most && !r.forget() {
			return nil
		}
		p = &Provider{First: now, Day: dayOf(now), live: make(map[*Conn]Habits)}
		r.by[k] = p
	}
	p.Who = c.who
	p.Connections++
	return p
}

// forget drops the one that was heard of last longest ago, of those that are not
// connected, and reports whether there was one.
func (r *Report) forget() bool {
	var oldest key
	var last time.Time
	for k, p := range r.by {
		if len(p.live) == 0 && (last.IsZero() || p.Last.Before(last)) {
			oldest, last = k, p.Last
		}
	}
	delete(r.by, oldest)
	return !last.IsZero()
}

// Told counts an error packet.
func (c *Conn) Told() {
	c.report.mu.Lock()
	defer c.report.mu.Unlock()
	if c.entry != nil {
		c.entry.Packets++
	}
}

// Close ends a connection.
func (c *Conn) Close() {
	if c.habits.Frames == 0 {
		return
	}
	c.note()
	r := c.report
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.entry == nil {
		return
	}
	delete(c.entry.live, c)
	c.entry.Habits.Merge(c.habits)
}

// ReadFeedback notes that a client has read its feedback list.
func (r *Report) ReadFeedback(app, client string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, p := range r.by {
		if k.app == app && k.client == client {
			p.Feedback = r.now()
		}
	}
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

// Providers returns what is known of each, those seen last first. The caller owns them.
func (r *Report) Providers() []Provider {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]Provider, 0, len(r.by))
	for _, p := range r.by {
		p.turn(r.now())
		whole := *p
		for _, h := range p.live {
			whole.Habits.Merge(h)
		}
		whole.live = nil
		all = append(all, whole)
	}
	slices.SortFunc(all, func(a, b Provider) int {
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.App, b.App), cmp.Compare(a.Client, b.Client), cmp.Compare(a.Address, b.Address))
	})
	return all
}

// Sentences say what an operator can make of it.
func (r *Report) Sentences(minVersion string) (all []string) {
	providers := r.Providers()
	now := r.now()
	oldest := now
	for _, p := range providers {
		if p.First.Before(oldest) {
			oldest = p.First
		}
	}
	since := now.Add(-days * 24 * time.Hour)
	for _, version := range []string{"TLS 1.0", "TLS 1.1"} {
		if "TLS "+minVersion > version {
			continue
		}
		used := slices.ContainsFunc(providers, func(p Provider) bool { return p.TLS == version && p.Last.After(since) })
		if used {
			break
		}
		if oldest.Before(since) {
			all = append(all, fmt.Sprintf("no provider has used %s for %d days: tls.min_version can go up", version, days))
		}
	}
	return all
}

// Marshal returns all that is known, for Load.
func (r *Report) Marshal() ([]byte, error) { return json.Marshal(r.Providers()) }

// Load takes what Marshal has returned, before the first connection.
func (r *Report) Load(text []byte) error {
	var all []Provider
	if err := json.Unmarshal(text, &all); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range all[:min(len(all), most)] {
		p.live = make(map[*Conn]Habits)
		r.by[keyOf(&p.Who, &p.Habits)] = &p
	}
	return nil
}
