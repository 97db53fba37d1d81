package endtoend

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/gateway/provider"
)

// fate is what should become of a notification of a crowd.
type fate int

const (
	toArrive fate = iota
	toRefuse      // its token is bad: its provider is told, or the feedback list has it
	toList        // its device is gone: the feedback list has it
)

// fateOf is the fate of the nth notification of a provider some of whose devices are bad or
// gone.
func fateOf(n int) fate {
	switch n % 250 {
	case 133:
		return toRefuse
	case 244:
		return toList
	}
	return toArrive
}

// mixed is a notification of a crowd with the fates that fateOf gives.
func mixed(number int) binproto.Notification {
	n := crowded(number)
	switch fateOf(number % ofProvider) {
	case toRefuse:
		n.Token = servertest.Unhex(servertest.Token("bad0", number))
	case toList:
		n.Token = servertest.Unhex(servertest.Token("dead", number))
	}
	return n
}

// resender is a provider that sends again what stands behind an error packet, and keeps track
// of the other notifications whose fate it cannot know.
type resender struct {
	base int // the number of its first notification

	mu      sync.Mutex
	report  provider.Report
	next    int       // to be written
	times   []int     // how often each was written
	unsure  []stretch // written on connections that ended without a packet
	packets []provider.Packet
	heard   []time.Time  // when packets came
	named   map[int]bool // as failed, by packets
}

// send sends notifications as long as more lets it. more is told how many were taken.
func (p *resender) send(ctx context.Context, w *world, more func(taken int) bool) error {
	client := provider.Client{
		Addr: w.Push, TLS: w.ClientTLS(), Quiet: 300 * time.Millisecond, Attempts: 10_000,
		Progress: p.progress, Packet: p.packet,
	}
	p.named = make(map[int]bool)
	report, err := client.Send(ctx, func(yield func(binproto.Notification) bool) {
		for n := 0; more(n) && yield(mixed(p.base+n)); n++ {
		}
	})
	p.progress(report)
	return err
}

func (p *resender) progress(r provider.Report) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := r.Uncertain - p.report.Uncertain; n > 0 {
		p.unsure = append(p.unsure, stretch{p.next - n, p.next})
	}
	for range r.Written - p.report.Written {
		if p.next == len(p.times) {
			p.times = append(p.times, 0)
		}
		p.times[p.next]++
		p.next++
	}
	p.report = r
}

func (p *resender) packet(answer provider.Packet) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.packets, p.heard = append(p.packets, answer), append(p.heard, time.Now())
	if answer.Index < 0 {
		return
	}
	p.next = answer.Index + 1
	if answer.Status != binproto.Shutdown {
		p.named[answer.Index] = true
	}
}

// written is how many notifications were written, those sent again counted each time.
func (p *resender) written() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.report.Written
}

// heardOf is how many packets have come.
func (p *resender) heardOf() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.packets)
}

// allWrite reports whether each has had a connection.
func allWrite(all []*resender) bool {
	return !slices.ContainsFunc(all, func(p *resender) bool { return p.written() == 0 })
}

// isUnsure reports whether the nth notification was last written on a connection that
// ended without a packet.
func (p *resender) isUnsure(n int) bool {
	return slices.ContainsFunc(p.unsure, func(s stretch) bool { return s.from <= n && n < s.to })
}

// lastMoment is how long it may take to record a notification after a packet, or after it
// has come again: a tenth of a second, and some time for each of thousands on a busy
// machine.
const lastMoment = time.Second

// heardSoonBefore reports whether the nth notification stood behind a packet that came in
// the last moment before one of these times, or was read a little later.
func (p *resender) heardSoonBefore(times []time.Time, n int) bool {
	for i, packet := range p.packets {
		for _, at := range times {
			if ago := at.Sub(p.heard[i]); packet.Index < n && ago > -lastMoment/2 && ago < lastMoment {
				return true
			}
		}
	}
	return false
}

// books counts what became of notifications.
type books struct {
	accepted, named, listed int
	lost                    []int // none of these
}

// count adds what became of all that p took from its caller.
func (b *books) count(t *testing.T, p *resender, arrivals map[int][]arrival, listed map[string]bool) {
	t.Helper()
	if p.report.Forgotten > 0 {
		t.Errorf("a provider forgot %d", p.report.Forgotten)
	}
	for n := range p.report.Taken {
		number, fate := p.base+n, fateOf(n)
		isListed := listed[string(mixed(number).Token)]
		switch {
		case len(arrivals[number]) > 0:
			b.accepted++
		case p.named[n]:
			b.named++
		case isListed:
			b.listed++
		default:
			b.lost = append(b.lost, number)
		}
		if p.named[n] && fate != toRefuse || isListed && fate == toArrive || len(arrivals[number]) > 0 && fate != toArrive {
			t.Errorf("number %d: named in an error packet %t, on the feedback list %t, accepted %d times",
				number, p.named[n], isListed, len(arrivals[number]))
		}
	}
}

// checkTails checks that what is lost of a connection that ended without a packet was
// written last.
func (p *resender) checkTails(t *testing.T, arrivals map[int][]arrival) {
	t.Helper()
	for _, s := range p.unsure {
		lost := -1
		for n := s.from; n < s.to; n++ {
			switch {
			case fateOf(n) != toArrive || p.times[n] > 1:
			case len(arrivals[p.base+n]) == 0:
				if lost < 0 {
					lost = p.base + n
				}
			case lost >= 0:
				t.Errorf("number %d is lost, and %d behind it is not", lost, p.base+n)
				lost = -1
			}
		}
	}
}

// listed reads the feedback list.
func (w *world) listed(t *testing.T) map[string]bool {
	t.Helper()
	listed := make(map[string]bool)
	for device := range w.tuples(t) {
		listed[device] = true
	}
	return listed
}

// tuples reads the feedback list, and counts how often it has each device.
func (w *world) tuples(t *testing.T) map[string]int {
	t.Helper()
	tuples := make(map[string]int)
	if _, err := provider.ReadFeedback(t.Context(), w.Feedback, w.ClientTLS(), func(tuple binproto.Tuple) error {
		tuples[string(tuple.Token)]++
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return tuples
}
