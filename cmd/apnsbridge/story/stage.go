package story

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/bridge/apnssim/courier"
)

// World is where the story plays: a gateway that runs, and the APNs behind it.
type World struct {
	Push, Feedback string             // the gateway's ports, host:port
	Provider       *tls.Config        // with the certificate that the gateway admits
	Sim            *apnssim.Simulator // the gateway's APNs
	Courier        string             // host:port of the simulator's courier
	Phones         *tls.Config        // what the phones trust
	Bundle         string             // the app, which is the topic
	Pause          time.Duration      // between chapters when the page tells the story; default 3 s
}

// A Stage is the story as it stands. Its methods may be called from any
// goroutine; those that do something wait until it has been done, not until its
// consequences are seen.
type Stage struct {
	world World
	now   func() time.Time

	mu       sync.Mutex
	changed  chan struct{} // closed at the next change
	events   []Event       // the latest maxEvents
	seq, act int
	phones   []*phone
	provider server
	asked    []Asked
	cut      bool // APNs is out of order
	playing  bool // by itself
	chapter  Chapter
	problem  string // of what was last done on the page

	running sync.WaitGroup
	ctx     context.Context // of everything that runs on the stage
	end     context.CancelFunc
}

// The bounds of what a page shows.
const (
	maxEvents = 400
	maxShown  = 20 // banners of a phone, requests to APNs, frames
	maxPhones = 6
)

// Event is something that one side saw. Those of one act are told in the order of
// Who: what happens at the same time has no other.
type Event struct {
	Seq    int
	act    int // of what was done last
	Who    Who
	Text   string
	Fields []Field // of a frame
}

// Who saw something, in the order in which a notification comes by.
type Who int

// The sides of the story.
const (
	Phone Who = iota
	Provider
	APNs
	Banner // a phone again, at the end of the way
	Gateway
	Again // the provider, after an error packet
	Feedback
)

// String is how the story calls it.
func (w Who) String() string {
	return [...]string{"phone", "provider", "APNs", "phone", "gateway", "provider", "feedback"}[w]
}

// Asked is a request that APNs got from the gateway.
type Asked struct {
	Seq                   int
	Token, PushType       string
	Priority              int
	Expiration            string
	Payload               string
	Status                int
	Reason, Answer, Level string
}

// NewStage returns an empty stage.
func NewStage(world World, now func() time.Time) *Stage {
	world.Pause = cmp.Or(world.Pause, 3*time.Second)
	s := &Stage{world: world, now: now, changed: make(chan struct{})}
	s.ctx, s.end = context.WithCancel(context.Background())
	s.provider.stage = s
	s.running.Go(s.watchAPNs)
	return s
}

// Close ends the connections of all.
func (s *Stage) Close() {
	s.end()
	s.provider.hangUp()
	s.mu.Lock()
	phones := slices.Clone(s.phones)
	s.mu.Unlock()
	for _, p := range phones {
		p.disconnect()
	}
	s.running.Wait()
}

// tell adds an event. Whatever else has changed is seen at the same time.
func (s *Stage) tell(who Who, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tellLocked(Event{Who: who, Text: fmt.Sprintf(format, args...)})
}

func (s *Stage) tellLocked(e Event) {
	s.seq++
	e.Seq, e.act = s.seq, s.act
	s.events = keepLast(append(s.events, e), maxEvents)
	s.touch()
}

// begin begins an act: something that is done on the stage.
func (s *Stage) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.act++
}

// touch wakes those who wait for a change. The caller holds s.mu.
func (s *Stage) touch() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func keepLast[T any](list []T, n int) []T {
	if len(list) > n {
		list = slices.Delete(list, 0, len(list)-n)
	}
	return list
}

// until waits for a condition of the stage, which is asked with s.mu held.
func (s *Stage) until(ctx context.Context, what string, done func() bool) error {
	for {
		s.mu.Lock()
		ok, changed := done(), s.changed
		s.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			err := ctx.Err()
			if errors.Is(err, context.DeadlineExceeded) {
				err = errors.New("this has taken too long")
			}
			return fmt.Errorf("story: %s: %w", what, err)
		case <-s.ctx.Done():
			return errors.New("story: the stage is closed")
		}
	}
}

// watchAPNs sees what APNs is asked.
func (s *Stage) watchAPNs() {
	seq, received := 0, 0
	for s.world.Sim.Wait(s.ctx, func(st apnssim.Stats) bool { return st.Received != received }) == nil {
		received = s.world.Sim.Stats().Received
		for _, p := range s.world.Sim.Received(seq).Pushes {
			seq = p.Seq
			s.mu.Lock()
			a := askedOf(p, s.now())
			s.asked = keepLast(append(s.asked, a), maxShown)
			s.tellLocked(Event{Who: APNs,
				Text: fmt.Sprintf("POST /3/device/%.8s…  apns-push-type %s, apns-priority %d: %s  → %s",
					a.Token, a.PushType, a.Priority, a.Payload, a.Answer)})
			s.mu.Unlock()
		}
	}
}

func askedOf(p apnssim.Push, now time.Time) Asked {
	a := Asked{Seq: p.Seq, Token: p.Token, PushType: p.PushType, Priority: p.Priority, Payload: string(p.Payload),
		Status: p.Status, Reason: p.Reason, Answer: fmt.Sprint(p.Status), Level: "good"}
	switch {
	case p.Expiration == nil:
	case *p.Expiration == 0:
		a.Expiration = "0"
	default:
		a.Expiration = fmt.Sprintf("in %.0f minutes", time.Unix(*p.Expiration, 0).Sub(now).Minutes())
	}
	if p.Status != 200 {
		a.Answer, a.Level = fmt.Sprintf("%d %s", p.Status, p.Reason), "bad"
	}
	return a
}

// CutOff lets APNs be reached, or not.
func (s *Stage) CutOff(off bool) error {
	s.begin()
	var scenario apnssim.Scenario
	if off {
		scenario.Outage = &apnssim.Outage{}
	}
	if err := s.world.Sim.SetScenario(scenario); err != nil {
		return err
	}
	s.mu.Lock()
	s.cut = off
	s.mu.Unlock()
	if off {
		s.tell(APNs, "is out of order: 503 to everything")
	} else {
		s.tell(APNs, "is well again")
	}
	return nil
}

// app is the app of the story, as the courier names it.
func (s *Stage) app() courier.App {
	return courier.App{Bundle: s.world.Bundle, Environment: "production"}
}
