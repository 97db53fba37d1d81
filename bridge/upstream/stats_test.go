package upstream

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
)

// Streams counts those that both APNs and the limit allow, on all connections in use.
func TestStreams(t *testing.T) {
	for _, test := range []struct {
		name               string
		allowed, most, all int
	}{
		{"APNs allows fewer", 100, 400, 100},
		{"the limit is less", 500, 40, 40},
	} {
		t.Run(test.name, func(t *testing.T) {
			sim := startSim(t, apnssim.Scenario{MaxConcurrentStreams: test.allowed})
			g := newRig(t, sim, Limits{Streams: test.most})
			if got := g.Stats().Streams; got != 0 {
				t.Errorf("%d streams without a connection", got)
			}
			g.push(goodDevice, 1, hello)
			until(t, "APNs has said what it allows", func() bool { return g.Stats().Streams == test.all })
			g.send(fresh(1))
			until(t, "its successor has as many streams", func() bool {
				st := g.Stats()
				return st.Connections == 1 && st.Leaving == 0 && st.Streams == test.all
			})
		})
	}
}

// Add sums every field.
func TestStatsAdd(t *testing.T) {
	var one, sum Stats
	fields := reflect.ValueOf(&one).Elem()
	for i := range fields.NumField() {
		fields.Field(i).Set(reflect.ValueOf(i + 1).Convert(fields.Field(i).Type()))
	}
	sum.Add(one)
	sum.Add(one)
	added := reflect.ValueOf(sum)
	for i := range added.NumField() {
		if got, want := fmt.Sprint(added.Field(i)), fmt.Sprint(2*(i+1)); got != want {
			t.Errorf("%s is %s, want %s", added.Type().Field(i).Name, got, want)
		}
	}
}

// A retired upstream ends its connections, and is idle from then on.
func TestRetire(t *testing.T) {
	g := newRig(t, startSim(t, apnssim.Scenario{}), Limits{})
	g.push(goodDevice, 1, hello)
	now := time.Now()
	if g.IdleFor(now.Add(time.Hour)) != 0 || g.App() != "mail" {
		t.Errorf("the upstream of %s is idle before it is retired", g.App())
	}
	g.Retire()
	until(t, "its connections have ended", func() bool { return g.IdleFor(time.Now().Add(time.Hour)) >= time.Hour })
	if st := g.Stats(); st.Connections+st.Leaving != 0 {
		t.Errorf("%+v", st)
	}
	g.push(goodDevice, 1, hello) // as a goroutine does that looked the upstream up before
	if got := g.counted(); got[Accepted] != 2 {
		t.Errorf("verdicts %v, want 2 accepted", got)
	}
}
