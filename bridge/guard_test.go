package bridge

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"apnsbridge/store"
)

// guardDay is a guard with a clock that goes on by a second before each event.
type guardDay struct {
	guard
	now time.Time
}

func newGuardDay() *guardDay { return &guardDay{now: time.Unix(1_700_000_000, 0).UTC()} }

func (d *guardDay) pass(t time.Duration) { d.now = d.now.Add(t) }

func (d *guardDay) refuse(token string) ruling {
	d.pass(time.Second)
	return d.refused([]byte(token), d.now, d.now)
}

// refuseMany has n different tokens refused, and gives the last ruling.
func (d *guardDay) refuseMany(n int) (last ruling) {
	for i := range n {
		last = d.refuse(fmt.Sprint("token ", i))
	}
	return last
}

func (d *guardDay) accept() (release, save bool) {
	d.pass(time.Second)
	return d.accepted(d.now)
}

func (d *guardDay) changeCredential() {
	d.pass(time.Second)
	d.credentialChanged(d.now)
}

func TestGuard(t *testing.T) {
	tests := []struct {
		name        string
		before      func(d *guardDay)
		token       string // refused then
		hold, alarm bool
	}{
		{"one refusal", func(d *guardDay) {}, "last", false, false},
		{"49 different tokens", func(d *guardDay) { d.refuseMany(48) }, "last", false, false},
		{"50 different tokens and no acceptance", func(d *guardDay) { d.refuseMany(49) }, "last", true, true},
		{"one token 1,000 times", func(d *guardDay) {
			for range 1000 {
				d.refuse("last")
			}
		}, "last", false, false},
		{"49 tokens twice", func(d *guardDay) { d.refuseMany(49); d.refuseMany(49) }, "token 0", false, false},
		{"on hold", func(d *guardDay) { d.refuseMany(50) }, "last", true, false},
		{"on hold, after the credential has changed", func(d *guardDay) { d.refuseMany(50); d.changeCredential() }, "last", true, false},
		{"on hold, with a credential that may be good, an old verdict", func(d *guardDay) {
			d.refuseMany(50)
			d.credentialChanged(d.now.Add(time.Hour))
		}, "last", true, false},
		{"an acceptance under the present credential: alarm only", func(d *guardDay) { d.accept(); d.refuseMany(49) }, "last", false, true},
		{"an acceptance long ago under the present credential", func(d *guardDay) {
			d.accept()
			d.pass(100 * 24 * time.Hour)
			d.refuseMany(49)
		}, "last", false, true},
		{"the alarm comes once", func(d *guardDay) { d.accept(); d.refuseMany(50) }, "last", false, false},
		{"the alarm comes once though much is accepted in between", func(d *guardDay) {
			d.accept()
			d.refuseMany(50)
			d.accept()
			d.refuseMany(49)
		}, "last", false, false},
		{"bad tokens among good ones are no alarm", func(d *guardDay) {
			for i := range 1000 {
				d.refuse(fmt.Sprint("token ", i))
				d.accept()
			}
		}, "last", false, false},
		{"an acceptance under the former credential, not yet 7 days ago", func(d *guardDay) {
			d.accept()
			d.changeCredential()
			d.pass(guardMemory - 52*time.Second)
			d.refuseMany(49)
		}, "last", false, true},
		{"an acceptance under the former credential, 7 days ago", func(d *guardDay) {
			d.accept()
			d.changeCredential()
			d.pass(guardMemory - 51*time.Second)
			d.refuseMany(49)
		}, "last", true, true},
		{"seven days of refusals only", func(d *guardDay) {
			d.accept()
			d.changeCredential()
			d.refuseMany(1000)
			d.pass(guardMemory)
		}, "last", true, true},
		{"an alarm for each credential", func(d *guardDay) {
			d.accept()
			d.refuseMany(50)
			d.changeCredential()
			d.refuseMany(49)
		}, "last", false, true},
		{"refusals under the former credential do not count", func(d *guardDay) { d.refuseMany(49); d.changeCredential() }, "last", false, false},
		{"nor do those that come late", func(d *guardDay) {
			d.credentialChanged(d.now.Add(time.Minute))
			d.refuseMany(49)
		}, "last", false, false},
		{"an acceptance that comes late does not speak for the credential, but for 7 days", func(d *guardDay) {
			d.credentialChanged(d.now.Add(2 * time.Second))
			d.accept()
			d.pass(guardMemory)
			d.refuseMany(49)
		}, "last", true, true},
		{"after a hold has ended, alarm only, and that was said", func(d *guardDay) {
			d.refuseMany(50)
			d.accept()
			d.refuseMany(49)
		}, "last", false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newGuardDay()
			tt.before(d)
			got := d.refuse(tt.token)
			if got.hold != tt.hold || got.alarm != tt.alarm {
				t.Errorf("hold %v, alarm %v; want %v, %v", got.hold, got.alarm, tt.hold, tt.alarm)
			}
			if got.hold != d.holding {
				t.Errorf("hold is %v, but the state %v", got.hold, d.holding)
			}
		})
	}
}

func TestGuardWithdrawsWhatItLetThrough(t *testing.T) {
	d := newGuardDay()
	d.refuseMany(49)
	at := d.now.Truncate(time.Hour)
	record := func(token string, at time.Time) {
		t.Helper()
		if !d.recordable([]byte(token), at) {
			t.Fatalf("%s may not go to feedback though the app is well", token)
		}
	}
	d.now = d.now.Add(time.Hour)
	record("token 3", at.Add(1*time.Second))
	record("token 7", at.Add(3*time.Second))
	record("token 7", at.Add(2*time.Second)) // the list keeps the later one
	record("token 9", at.Add(4*time.Second))
	record("token 9", at.Add(5*time.Second))
	record("of somebody else", at)
	want := []store.Dead{
		{Token: []byte("token 3"), Time: at.Add(1 * time.Second)},
		{Token: []byte("token 7"), Time: at.Add(3 * time.Second)},
		{Token: []byte("token 9"), Time: at.Add(5 * time.Second)},
	}
	got := d.refuse("last")
	if fmt.Sprint(got.withdraw) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got.withdraw, want)
	}
	refused := d.now
	if d.recordable([]byte("token 1"), refused.Add(-time.Minute)) || d.recordable([]byte("new"), refused.Add(time.Minute)) {
		t.Error("a bad token may go to feedback on hold")
	}
	d.accept()
	if d.recordable([]byte("token 1"), refused) {
		t.Error("a refusal of before the hold may go to feedback after it")
	}
	if !d.recordable([]byte("new"), refused.Add(1)) {
		t.Error("a refusal after the hold may not go to feedback")
	}
}

func TestGuardProbesEvery30Seconds(t *testing.T) {
	d := newGuardDay()
	due := func(want bool) {
		t.Helper()
		if got := d.probeDue(d.now); got != want {
			t.Errorf("a probe is due: %v, want %v", got, want)
		}
	}
	due(false)
	d.refuseMany(50)
	due(false)
	d.pass(probeEvery - 1)
	due(false)
	d.pass(1)
	due(true)
	d.probed(d.now)
	due(false)
	d.refuse("the probe")
	d.pass(probeEvery)
	due(true)
	d.probed(d.now)
	d.changeCredential()
	due(true) // at once
	if !d.holding {
		t.Error("another credential has ended the hold before anything was accepted")
	}
	if release, _ := d.accept(); !release {
		t.Error("the first acceptance has not ended the hold")
	}
	if release, _ := d.accept(); release {
		t.Error("the second acceptance has ended the hold")
	}
	d.pass(probeEvery)
	due(false)
}

// A verdict on what was sent with the former credential says nothing of the
// present one.
func TestGuardIsNotReleasedByTheFormerCredential(t *testing.T) {
	d := newGuardDay()
	d.refuseMany(50)
	sent := d.now
	d.changeCredential()
	if release, _ := d.accepted(sent); release || !d.holding {
		t.Error("released by an acceptance under the former credential")
	}
}

func TestGuardRemembersTheLastAcceptance(t *testing.T) {
	d := newGuardDay()
	saves := 0
	for range 3 * 3600 { // a push a second
		if _, save := d.accept(); save {
			saves++
		}
	}
	if saves != 3 {
		t.Errorf("saved %d times in three hours, want 3", saves)
	}
	record := d.record()
	restarted := func(after time.Duration) *guardDay {
		r := newGuardDay()
		r.now = d.now.Add(after)
		if err := r.restore(record, r.now); err != nil {
			t.Fatal(err)
		}
		return r
	}
	if got := restarted(6 * 24 * time.Hour).refuseMany(50); got.hold || !got.alarm {
		t.Errorf("6 days after an acceptance: got %+v, want an alarm only", got)
	}
	if got := restarted(guardMemory).refuseMany(50); !got.hold {
		t.Errorf("7 days after an acceptance: got %+v, want a hold", got)
	}
	future := restarted(-24 * time.Hour)
	if !future.last.Equal(future.now) {
		t.Errorf("an acceptance of the future is taken for %v, want %v", future.last, future.now)
	}
	for _, broken := range [][]byte{nil, record[:7], append(slices.Clone(record), 0)} {
		if err := d.restore(broken, d.now); err == nil {
			t.Errorf("a record of %d bytes is taken", len(broken))
		}
	}
	before := d.last
	if err := d.restore(make([]byte, 8), d.now); err != nil || d.last != before {
		t.Errorf("an older record: %v, last %v; want %v", err, d.last, before)
	}
}
