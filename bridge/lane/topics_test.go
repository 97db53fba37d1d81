package lane

import (
	"fmt"
	"testing"
	"time"
)

// prompt is as good as at once, for what was sent behind others.
const prompt = 4 * tick

// failing is an APNs that answers 5xx to everything of some topics: of the first few, from 1 on.
type failing struct {
	topics int
	all    bool // and to all others
}

func (f *failing) answer(n *note) Class {
	if f.all || n.topic >= 1 && n.topic <= f.topics {
		return Failed
	}
	return Accepted
}

// flow lets count notifications of a healthy topic arrive, some at each step, and gives how long the
// slowest of them took.
func (g *rig) flow(count, each int) (latest time.Duration) {
	first := g.flowed
	at := make(map[key]time.Duration)
	for ; g.flowed < first+count; g.flowed++ {
		k := key{1_000_000 + g.flowed, 0}
		at[k] = g.now.Mono
		if g.arrive(&note{topic: 9, device: k.device}); g.flowed%each == each-1 {
			g.step()
		}
	}
	for k, since := range at {
		g.until(10*time.Minute, func() bool { return g.at[k] > 0 })
		latest = max(latest, g.at[k]-since)
	}
	return latest
}

// failed lets notifications of each failing topic arrive, each to a device of its own.
func (g *rig) failed(topics, each int) {
	for i := range each {
		for topic := range topics {
			g.arrive(&note{topic: 1 + topic, device: 1000*topic + i})
		}
	}
}

// APNs answers 5xx to everything of one topic, or of a few, with 1,000 devices each. Another topic
// flows on at its full rate, whichever came first, and soon after the trouble is over all go.
func TestCaseTopicsThatFail(t *testing.T) {
	t.Parallel()
	for _, many := range []int{1, 2, 5} {
		for _, goodFirst := range []bool{true, false} {
			t.Run(fmt.Sprintf("%d, good first %v", many, goodFirst), func(t *testing.T) {
				inEachMode(t, true, func(t *testing.T, m Mode) {
					apns := &failing{topics: many}
					g := newRig(m, apns.answer)
					g.room, g.lane.Ahead = 10_000*sizeOf, 1000*sizeOf
					if goodFirst {
						within(t, "the good ones before", g.flow(100, 20), prompt)
					}
					g.failed(many, 500)
					begin := prompt
					if !goodFirst && many > 1 { // at first it looks like an outage
						g.wait(10 * time.Second)
						begin = 1500 * time.Millisecond
					}
					within(t, "the first good ones behind them", g.flow(100, 20), begin)
					g.failed(many, 500)
					within(t, "the good ones among them", g.flow(2000, 20), prompt)
					g.wait(10 * time.Minute)
					within(t, "the good ones later", g.flow(500, 20), prompt)
					if g.lane.Door.Reason != Open {
						t.Errorf("the lane's door is %v", g.lane.Door.Reason)
					}
					if released := g.released; m == Off && released < 900*many {
						t.Errorf("%d are released", released)
					}
					asked, good := g.asked(), g.accepted
					g.wait(10 * time.Minute)
					if asked = g.asked() - asked; asked > 50*many {
						t.Errorf("%d are asked in ten minutes", asked)
					}
					apns.topics = 0
					all := g.until(time.Hour, func() bool { return g.accepted == good+1000*many })
					within(t, "all of the topics", all, 150*time.Second)
				})
			})
		}
	}
}

// A topic with one notification in ten seconds is not delayed by others that fail.
func TestCaseSlowAmongTopicsThatFail(t *testing.T) {
	for _, many := range []int{1, 2, 5} {
		t.Run(fmt.Sprint(many), func(t *testing.T) {
			inEachMode(t, true, func(t *testing.T, m Mode) {
				g := newRig(m, (&failing{topics: many}).answer)
				g.room, g.lane.Ahead = 10_000*sizeOf, 1000*sizeOf
				g.failed(many, 100)
				g.wait(time.Minute)
				within(t, "the first", g.flow(1, 1), 1500*time.Millisecond)
				latest := time.Duration(0)
				for i := range 100 {
					g.wait(10 * time.Second)
					if i%10 == 0 {
						g.failed(many, 10)
					}
					latest = max(latest, g.flow(1, 1))
				}
				within(t, "the latest", latest, prompt)
			})
		})
	}
}

// In an outage with two topics probes go as seldom as with one, although more of both topics come all
// the time.
func TestCaseOutageOfTwoTopics(t *testing.T) {
	inEachMode(t, true, func(t *testing.T, m Mode) {
		apns := &failing{all: true}
		g := newRig(m, apns.answer)
		g.room, g.lane.Ahead = 10_000*sizeOf, 1000*sizeOf
		for i := range 3000 {
			g.arrive(&note{topic: i % 2, device: i})
			g.wait(2 * tick)
		}
		if k := g.asked(); g.lane.Door.Reason != Unreachable || k > 200 {
			t.Errorf("the lane's door is %v, %d were asked about", g.lane.Door.Reason, k)
		}
		if m == Off && g.released < 2900 {
			t.Errorf("%d are released", g.released)
		}
		apns.all = false
		within(t, "all", g.until(time.Hour, func() bool { return g.accepted == 3000 }), 150*time.Second)
	})
}

// In an outage the lane's door is closed, and few of many topics are asked about. When it is over all
// go, although one topic goes on failing.
func TestCaseOutageOfManyTopics(t *testing.T) {
	for name, fail := range map[string]int{"all are well again": 0, "one is not": 1} {
		t.Run(name, func(t *testing.T) {
			inEachMode(t, true, func(t *testing.T, m Mode) {
				const many, each = 20, 100
				apns := &failing{topics: fail}
				g := newRig(m, apns.answer)
				g.room, g.lane.Ahead = 10_000*sizeOf, 1000*sizeOf
				g.failed(fail, each)
				g.flow(200, 20)
				apns.all = true
				asked := g.asked()
				for i := range each {
					for topic := range many {
						g.arrive(&note{topic: 10 + topic, device: 100_000 + 1000*topic + i})
					}
					g.step()
				}
				g.wait(10 * time.Minute)
				if asked = g.asked() - asked; g.lane.Door.Reason != Unreachable || asked > 600 {
					t.Errorf("the lane's door is %v, %d were asked about", g.lane.Door.Reason, asked)
				}
				apns.all = false
				all := g.until(time.Hour, func() bool { return g.accepted == 200+many*each })
				within(t, "all that can", all, 150*time.Second)
			})
		})
	}
}
