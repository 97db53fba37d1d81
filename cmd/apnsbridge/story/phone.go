package story

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"apnsbridge/bridge/apnssim/courier"
)

// phone is a device with the one app of the story. Its fields are the stage's.
type phone struct {
	stage     *Stage
	name      string
	installed bool
	token     string // hex, empty before the app is installed for the first time
	badge     int
	banners   []Shown
	line      *courier.Phone // nil while it is offline
	read      chan struct{}  // closed when the line's reader has ended
}

// Shown is what a phone showed of a notification.
type Shown struct {
	Seq    int // of the event
	At     time.Time
	Banner courier.Banner
	Text   string
	Kept   bool // it had waited for the phone
}

// find returns the phone of that name. The caller holds s.mu.
func (s *Stage) find(name string) *phone {
	for _, p := range s.phones {
		if p.name == name {
			return p
		}
	}
	return nil
}

func (s *Stage) phone(name string) (*phone, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.find(name); p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("there is no %s", name)
}

// SwitchOn connects a phone, which may be a new one.
func (s *Stage) SwitchOn(ctx context.Context, name string) error {
	s.begin()
	s.mu.Lock()
	p := s.find(name)
	if p == nil {
		if len(s.phones) == maxPhones {
			s.mu.Unlock()
			return fmt.Errorf("%d phones are enough", maxPhones)
		}
		p = &phone{stage: s, name: name}
		s.phones = append(s.phones, p)
	}
	var installed []courier.App
	if p.installed {
		installed = []courier.App{s.app()}
	}
	already := p.line != nil
	s.mu.Unlock()
	if already {
		return nil
	}
	line, err := courier.Connect(ctx, s.world.Courier, s.world.Phones, name, installed)
	if err != nil {
		return err
	}
	read := make(chan struct{})
	s.mu.Lock()
	p.line, p.read = line, read
	s.tellLocked(Event{Who: Phone, Text: name + " is connected to APNs"})
	s.mu.Unlock()
	s.running.Go(func() {
		defer close(read)
		p.show(line)
	})
	return nil
}

// SwitchOff takes a phone offline.
func (s *Stage) SwitchOff(name string) error {
	s.begin()
	p, err := s.phone(name)
	if err != nil {
		return err
	}
	if p.disconnect() {
		s.tell(Phone, "%s is offline", name)
	}
	return nil
}

func (p *phone) disconnect() bool {
	p.stage.mu.Lock()
	line, read := p.line, p.read
	p.line = nil
	p.stage.mu.Unlock()
	if line == nil {
		return false
	}
	line.Close()
	<-read
	return true
}

// show takes what arrives, until the line ends.
func (p *phone) show(line *courier.Phone) {
	for {
		n, err := line.Next(p.stage.ctx)
		if err != nil {
			return
		}
		p.take(n)
	}
}

func (p *phone) take(n *courier.Notification) {
	banner, err := courier.ParseBanner(n.Payload)
	shown := Shown{At: p.stage.now(), Banner: banner, Text: banner.String(), Kept: n.Kept}
	if err != nil {
		shown.Text = "(nothing is shown: the payload has no aps dictionary as Apple describes it)"
	}
	text := p.name + " shows: " + shown.Text
	if banner.Silent {
		text = p.name + " shows nothing; the app is woken up"
	}
	if n.Kept {
		text += " (APNs had kept it)"
	}
	p.stage.mu.Lock()
	defer p.stage.mu.Unlock()
	if banner.Badge != nil {
		p.badge = *banner.Badge
	}
	p.stage.tellLocked(Event{Who: Banner, Text: text})
	shown.Seq = p.stage.seq
	p.banners = keepLast(append(p.banners, shown), maxShown)
}

var errOffline = errors.New("the phone is offline: switch it on first")

// Install puts the app on a phone. The app asks for its device token and hands it
// to its provider.
func (s *Stage) Install(ctx context.Context, name string) error {
	s.begin()
	p, err := s.phone(name)
	if err != nil {
		return err
	}
	s.mu.Lock()
	line := p.line
	s.mu.Unlock()
	if line == nil {
		return errOffline
	}
	token, err := line.Register(ctx, s.app())
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p.installed, p.token = true, fmt.Sprintf("%x", token)
	s.tellLocked(Event{Who: Phone,
		Text: fmt.Sprintf("the app on %s has the device token %.8s…, and gives it to its provider",
			name, p.token)})
	s.provider.know(name, token)
	return nil
}

// Uninstall removes the app. APNs knows when the phone is online.
func (s *Stage) Uninstall(ctx context.Context, name string) error {
	return s.remove(name, "the app is removed from "+name,
		func(line *courier.Phone) error { return line.Uninstall(ctx, s.app()) })
}

// Erase removes everything from a phone.
func (s *Stage) Erase(ctx context.Context, name string) error {
	return s.remove(name, name+" is erased", func(line *courier.Phone) error { return line.Erase(ctx) })
}

func (s *Stage) remove(name, text string, tellAPNs func(*courier.Phone) error) error {
	s.begin()
	p, err := s.phone(name)
	if err != nil {
		return err
	}
	s.mu.Lock()
	line := p.line
	p.installed, p.badge, p.banners = false, 0, nil
	s.tellLocked(Event{Who: Phone, Text: text})
	s.mu.Unlock()
	if line == nil {
		return nil // APNs hears of it when the phone comes back
	}
	return tellAPNs(line)
}

// hasShown reports whether the phone has shown this text after event seq. The
// caller holds s.mu.
func (s *Stage) hasShown(name, text string, seq int) bool {
	p := s.find(name)
	return p != nil && slices.ContainsFunc(p.banners, func(b Shown) bool { return b.Seq > seq && b.Text == text })
}
