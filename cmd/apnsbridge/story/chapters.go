package story

import (
	"context"
	"fmt"
	"time"

	"apnsbridge/binproto"
)

// A Chapter is a step of the story: a sentence, and what is done.
type Chapter struct {
	Number int
	Text   string
	play   func(*Stage, context.Context) error
}

// The devices of the story.
const (
	Anna = "Anna's phone"
	Ben  = "Ben's tablet"
)

// chapters play one after the other. Each waits until what it tells has been seen.
var chapters = []Chapter{
	{1, "A phone connects to APNs. The app on it asks for a device token and hands it to its provider's server.",
		func(s *Stage, ctx context.Context) error { return s.appear(ctx, Anna) }},
	{2, "The provider has not been changed since 2010: it writes five fields into a socket, and the phone shows the notification.",
		func(s *Stage, ctx context.Context) error {
			return s.deliver(ctx, Anna, binproto.Notification{Command: binproto.Simple,
				Payload: []byte(`{"aps":{"alert":"Good morning"}}`)}, "Good morning")
		}},
	{3, "The enhanced frame has an identifier and an expiry besides. This notification sets the badge and plays a sound.",
		func(s *Stage, ctx context.Context) error {
			return s.deliver(ctx, Anna, binproto.Notification{Command: binproto.Enhanced, Expiry: s.inAnHour(),
				Payload: []byte(`{"aps":{"alert":{"title":"Mail","body":"from Ben"},"badge":1,"sound":"default"}}`)},
				"Mail: from Ben [badge 1] [sound default]")
		}},
	{4, "The framed notification has items in any order. This one is silent: the app is woken up, and nothing is shown.",
		func(s *Stage, ctx context.Context) error {
			return s.deliver(ctx, Anna, binproto.Notification{Command: binproto.Framed, Expiry: s.inAnHour(), HasExpiry: true,
				Priority: 5, Payload: []byte(`{"aps":{"content-available":1}}`)}, "(silent: the app is woken up)")
		}},
	{5, "A tablet goes offline, and two notifications are sent meanwhile. When it comes back it finds the last one.",
		(*Stage).missOne},
	{6, "Anna removes the app. APNs answers the next push with 410; to the provider this is no error, and it is told nothing.",
		func(s *Stage, ctx context.Context) error {
			if err := s.Uninstall(ctx, Anna); err != nil {
				return err
			}
			return s.expectAnswer(ctx, 410, func() error {
				return s.sendTo(ctx, Anna, enhanced(s, "Are you there?"))
			})
		}},
	{7, "It hears of it from the feedback service, and forgets the token. What has been read is off the list.",
		(*Stage).hearOfIt},
	{8, "The app is installed again. Its token is another one now.",
		func(s *Stage, ctx context.Context) error {
			if err := s.Install(ctx, Anna); err != nil {
				return err
			}
			return s.deliver(ctx, Anna, enhanced(s, "Welcome back"), "Welcome back")
		}},
	{9, "A token is mistyped. Six bytes name its frame; what stands behind it is delivered all the same, the provider sends it again, and nothing arrives twice.",
		(*Stage).mistype},
	{10, "APNs is out of order. The provider hears nothing of it; what it sends waits in the gateway, and goes once APNs is well.",
		(*Stage).endure},
}

// appear switches a phone on and installs the app.
func (s *Stage) appear(ctx context.Context, name string) error {
	if err := s.SwitchOn(ctx, name); err != nil {
		return err
	}
	return s.Install(ctx, name)
}

func (s *Stage) inAnHour() uint32 { return uint32(s.now().Add(time.Hour).Unix()) }

// enhanced is a notification of today for the next hour.
func enhanced(s *Stage, text string) binproto.Notification {
	return binproto.Notification{Command: binproto.Enhanced, Expiry: s.inAnHour(),
		Payload: fmt.Appendf(nil, `{"aps":{"alert":%q}}`, text)}
}

// sendTo sends to a user.
func (s *Stage) sendTo(ctx context.Context, name string, notes ...binproto.Notification) error {
	token, err := s.Token(name)
	if err != nil {
		return err
	}
	for i := range notes {
		if notes[i].Token == nil {
			notes[i].Token = token
		}
	}
	return s.Send(ctx, notes...)
}

// deliver sends, and waits until the phone has shown it.
func (s *Stage) deliver(ctx context.Context, name string, n binproto.Notification, shown string) error {
	from := s.lastEvent()
	return s.expectAnswer(ctx, 200, func() error {
		if err := s.sendTo(ctx, name, n); err != nil {
			return err
		}
		return s.until(ctx, name+" shows it", func() bool { return s.hasShown(name, shown, from) })
	})
}

// lastEvent is the number of the latest event.
func (s *Stage) lastEvent() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seq
}

// expectAnswer waits for one more answer of APNs with this status.
func (s *Stage) expectAnswer(ctx context.Context, status int, do func() error) error {
	s.mu.Lock()
	before := s.lastAsked()
	s.mu.Unlock()
	if err := do(); err != nil {
		return err
	}
	return s.until(ctx, fmt.Sprintf("APNs answers %d", status), func() bool {
		for _, a := range s.asked {
			if a.Seq > before && a.Status == status {
				return true
			}
		}
		return false
	})
}

// lastAsked is the number of the last request to APNs. The caller holds s.mu.
func (s *Stage) lastAsked() int {
	if len(s.asked) == 0 {
		return 0
	}
	return s.asked[len(s.asked)-1].Seq
}

func (s *Stage) missOne(ctx context.Context) error {
	if err := s.appear(ctx, Ben); err != nil {
		return err
	}
	if err := s.SwitchOff(Ben); err != nil {
		return err
	}
	for _, text := range []string{"Lunch?", "Dinner?"} {
		if err := s.expectAnswer(ctx, 200, func() error { return s.sendTo(ctx, Ben, enhanced(s, text)) }); err != nil {
			return err
		}
	}
	from := s.lastEvent()
	if err := s.SwitchOn(ctx, Ben); err != nil {
		return err
	}
	return s.until(ctx, Ben+" shows the last", func() bool { return s.hasShown(Ben, "Dinner?", from) })
}

func (s *Stage) hearOfIt(ctx context.Context) error {
	s.begin()
	// APNs has answered; until the gateway has written that down is a moment.
	for tuples := 0; tuples == 0; {
		var err error
		if tuples, err = s.readFeedback(ctx); err != nil {
			return err
		}
		if err := wait(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
	if tuples, err := s.ReadFeedback(ctx); err != nil || tuples != 0 {
		return fmt.Errorf("story: the feedback service gave %d tuples again: %w", tuples, err)
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Stage) mistype(ctx context.Context) error {
	from := s.lastEvent()
	bad := enhanced(s, "To whom?")
	bad.Token = Mistyped()
	if err := s.sendTo(ctx, Ben, bad, enhanced(s, "First"), enhanced(s, "Second")); err != nil {
		return err
	}
	resent := func() bool {
		return s.count(Again, from) == 2 && s.hasShown(Ben, "First", from) && s.hasShown(Ben, "Second", from)
	}
	if err := s.until(ctx, "what stands behind a mistyped token arrives", resent); err != nil {
		return err
	}
	// It follows those two on their connection: had they been forwarded again, the
	// tablet would have shown them before.
	if err := s.deliver(ctx, Ben, enhanced(s, "Third"), "Third"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if shown := s.count(Banner, from); shown != 3 {
		return fmt.Errorf("story: %s has shown %d of 3 notifications", Ben, shown)
	}
	return nil
}

// count returns how many events who has seen after event seq. The caller holds
// s.mu.
func (s *Stage) count(who Who, seq int) (n int) {
	for _, e := range s.events {
		if e.Who == who && e.Seq > seq {
			n++
		}
	}
	return n
}

func (s *Stage) endure(ctx context.Context) error {
	from := s.lastEvent()
	if err := s.CutOff(true); err != nil {
		return err
	}
	if err := s.expectAnswer(ctx, 503, func() error {
		return s.sendTo(ctx, Ben, enhanced(s, "Late, not lost"))
	}); err != nil {
		return err
	}
	return s.expectAnswer(ctx, 200, func() error {
		if err := s.CutOff(false); err != nil {
			return err
		}
		return s.until(ctx, "it arrives in the end", func() bool { return s.hasShown(Ben, "Late, not lost", from) })
	})
}

// perChapter is how long a chapter may take until something is wrong.
const perChapter = 30 * time.Second

// Play plays the whole story, pausing after each chapter.
func (s *Stage) Play(ctx context.Context, pause func(context.Context) error, each func(Chapter, []Event) error) error {
	for _, c := range chapters {
		s.mu.Lock()
		s.chapter = c
		first := s.seq + 1
		s.touch()
		s.mu.Unlock()
		within, cancel := context.WithTimeout(ctx, perChapter)
		err := c.play(s, within)
		cancel()
		if err != nil {
			return err
		}
		if err := each(c, s.since(first)); err != nil {
			return err
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
	return nil
}
