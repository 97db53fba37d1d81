package bridge

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"apnsbridge/bridge/upstream"
)

// breakerDrill is a breaker with a clock, and without chance: all waits are as
// short as they can be.
type breakerDrill struct {
	*testing.T
	breaker
	now time.Time
}

func newBreakerDrill(t *testing.T) *breakerDrill {
	d := &breakerDrill{T: t, now: time.Unix(1_700_000_000, 0)}
	d.breaker.backoff = &backoff{2 * time.Second, 4 * time.Minute, never}
	return d
}

func (d *breakerDrill) pass(t time.Duration) { d.now = d.now.Add(t) }

func (d *breakerDrill) fail(c upstream.Class, times int) {
	for range times {
		d.failed(c, d.now, d.now)
	}
}

// probesAt takes all probes of a time, each in vain, and wants them at these.
func (d *breakerDrill) probesAt(c upstream.Class, want ...time.Duration) {
	d.Helper()
	start := d.now
	for i, at := range want {
		d.now = start.Add(at - 1)
		if d.due(d.now) {
			d.Errorf("probe %d is due before %v", i+1, at)
		}
		d.now = start.Add(at)
		if !d.due(d.now) {
			d.Errorf("probe %d is not due after %v", i+1, at)
		}
		d.probed(d.now)
		d.fail(c, 1)
	}
}

func TestBreakerOpens(t *testing.T) {
	tests := []struct {
		name    string
		classes []upstream.Class
		want    bool
	}{
		{"too few", []upstream.Class{upstream.ServerError, upstream.ServerError, upstream.ServerError, upstream.ServerError}, false},
		{"enough", []upstream.Class{upstream.ServerError, upstream.ServerError, upstream.ServerError, upstream.ServerError, upstream.ServerError}, true},
		{"of all kinds", []upstream.Class{upstream.CredentialRefused, upstream.ServerError, upstream.TokenUpdates, upstream.CredentialRefused, upstream.ServerError}, true},
		{"not in a row", []upstream.Class{upstream.ServerError, upstream.ServerError, upstream.ServerError, upstream.ServerError, upstream.Accepted, upstream.ServerError}, false},
		{"another answer between", []upstream.Class{upstream.ServerError, upstream.ServerError, upstream.ServerError, upstream.ServerError, upstream.Refused, upstream.ServerError}, false},
		{"no answer between", []upstream.Class{upstream.ServerError, upstream.ServerError, upstream.ServerError, upstream.ServerError, upstream.Unprocessed, upstream.NoAnswer, upstream.StaleToken, upstream.ServerError}, true},
		{"a credential, and what says nothing of it", []upstream.Class{upstream.CredentialRefused, upstream.CredentialRefused, upstream.CredentialRefused, upstream.CredentialRefused, upstream.Refused, upstream.CredentialRefused}, true},
		{"a credential, and what speaks for it", []upstream.Class{upstream.CredentialRefused, upstream.CredentialRefused, upstream.CredentialRefused, upstream.CredentialRefused, upstream.BadToken, upstream.CredentialRefused}, false},
		{"no connection", []upstream.Class{upstream.NoConnection}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newBreakerDrill(t)
			for _, c := range tt.classes {
				if impedes(c) {
					d.fail(c, 1)
				} else if n := d.answered(c, d.now, d.now); n != 0 {
					t.Errorf("%d may go, of none that wait", n)
				}
			}
			if got := d.open(); got != tt.want {
				t.Errorf("open: %v, want %v", got, tt.want)
			}
		})
	}
}

func TestBreakerProbes(t *testing.T) {
	const s = time.Second
	t.Run("unavailable", func(t *testing.T) {
		d := newBreakerDrill(t)
		d.fail(upstream.ServerError, breakerFailures)
		d.probesAt(upstream.ServerError, s, 3*s, 7*s, 15*s, 31*s, 63*s, 127*s, 247*s, 367*s)
	})
	t.Run("unreachable", func(t *testing.T) {
		d := newBreakerDrill(t)
		d.fail(upstream.NoConnection, 200)
		d.probesAt(upstream.NoConnection, s, 3*s, 7*s)
	})
	t.Run("held", func(t *testing.T) {
		d := newBreakerDrill(t)
		d.fail(upstream.CredentialRefused, breakerFailures)
		d.probesAt(upstream.CredentialRefused, 30*s, 60*s, 90*s)
	})
	t.Run("held at last", func(t *testing.T) {
		d := newBreakerDrill(t)
		d.fail(upstream.ServerError, breakerFailures)
		d.probesAt(upstream.ServerError, s, 3*s)
		d.fail(upstream.CredentialRefused, 1)
		d.probesAt(upstream.CredentialRefused, 30*s, 60*s)
	})
	t.Run("what was under way says nothing", func(t *testing.T) {
		d := newBreakerDrill(t)
		sent := d.now
		d.pass(s)
		d.fail(upstream.ServerError, breakerFailures)
		d.failed(upstream.CredentialRefused, sent, d.now)
		if n := d.answered(upstream.Accepted, sent, d.now); n != 0 {
			t.Errorf("%d may go", n)
		}
		d.probesAt(upstream.ServerError, s)
	})
	t.Run("another way", func(t *testing.T) {
		d := newBreakerDrill(t)
		d.fail(upstream.ServerError, breakerFailures)
		d.probesAt(upstream.ServerError, s, 3*s, 7*s)
		sent := d.now
		d.pass(s)
		d.renewed(d.now)
		if n := d.answered(upstream.Accepted, sent, d.now); n != 0 || !d.due(d.now) {
			t.Errorf("%d may go for the former way, a probe is due: %v; want 0, true", n, d.due(d.now))
		}
		d.probesAt(upstream.ServerError, 0, 2*s)
	})
	t.Run("wasted", func(t *testing.T) {
		d := newBreakerDrill(t)
		d.fail(upstream.CredentialRefused, breakerFailures)
		d.probesAt(upstream.CredentialRefused, 30*s)
		d.wasted(d.now)
		d.probesAt(upstream.CredentialRefused, 0, 30*s)
	})
}

func TestBreakerCloses(t *testing.T) {
	d := newBreakerDrill(t)
	d.fail(upstream.ServerError, breakerFailures)
	d.probesAt(upstream.ServerError, time.Second, 3*time.Second, 7*time.Second)
	if n := d.answered(upstream.Refused, d.now, d.now); n != eased {
		t.Errorf("%d may go, want %d", n, eased)
	}
	d.fail(upstream.ServerError, 1) // one of those: the others wait for the next probe, which comes soon
	if !d.open() {
		t.Error("closed while others wait")
	}
	d.probesAt(upstream.ServerError, time.Second)
	d.answered(upstream.Accepted, d.now, d.now)
	sent := d.now
	d.pass(time.Second)
	d.emptied(d.now)
	if d.open() || d.due(d.now.Add(time.Hour)) {
		t.Error("open with nobody waiting")
	}
	for range breakerFailures {
		d.failed(upstream.ServerError, sent, d.now)
	}
	if d.open() {
		t.Error("opened by what was sent before it closed")
	}
	d.fail(upstream.ServerError, breakerFailures)
	if !d.open() {
		t.Error("not opened again")
	}
}

// breakerModel tells a breaker in the plainest way: by all that was said since it
// last changed.
type breakerModel struct {
	said  []upstream.Class // that count, since it closed or since failures began anew
	open  bool
	why   upstream.Class
	since time.Time
	vain  int
	probe time.Time
}

func (m *breakerModel) wait(c upstream.Class) time.Duration {
	if c == upstream.CredentialRefused {
		return 30 * time.Second
	}
	wait := time.Second
	for range m.vain {
		wait = min(2*wait, 8*time.Second)
	}
	return wait
}

// inARow counts the failures at the end of what was said.
func (m *breakerModel) inARow() (n int) {
	for _, c := range m.said {
		if n++; c == upstream.Accepted {
			n = 0
		}
	}
	return n
}

func TestBreakerAgainstModel(t *testing.T) {
	failures := []upstream.Class{upstream.CredentialRefused, upstream.TokenUpdates, upstream.ServerError, upstream.ServerError, upstream.NoConnection}
	answers := []upstream.Class{upstream.Accepted, upstream.BadToken, upstream.Refused, upstream.Unprocessed, upstream.NoAnswer, upstream.Throttled, upstream.StaleToken, upstream.Unknown, upstream.Gone, upstream.BadPriority}
	rapid.Check(t, func(t *rapid.T) {
		b := breaker{backoff: &backoff{2 * time.Second, 16 * time.Second, never}}
		now := time.Unix(1_700_000_000, 0)
		m := new(breakerModel)
		sent := func(t *rapid.T) time.Time {
			return now.Add(-time.Duration(rapid.IntRange(0, 3).Draw(t, "ago")) * time.Second)
		}
		t.Repeat(map[string]func(*rapid.T){
			"pass": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(1, 20).Draw(t, "seconds")) * time.Second)
			},
			"fail": func(t *rapid.T) {
				c, sent := rapid.SampledFrom(failures).Draw(t, "class"), sent(t)
				b.failed(c, sent, now)
				switch {
				case c != upstream.NoConnection && sent.Before(m.since):
					return
				case !m.open:
					m.said = append(m.said, c)
					if m.open = c == upstream.NoConnection || m.inARow() == 5; m.open {
						m.since, m.vain = now, 0
						m.probe = now.Add(m.wait(c))
					}
				case (c == upstream.CredentialRefused) != (m.why == upstream.CredentialRefused):
					m.probe = now.Add(m.wait(c))
				}
				m.why = c
			},
			"answer": func(t *rapid.T) {
				c, sent := rapid.SampledFrom(answers).Draw(t, "class"), sent(t)
				got := b.answered(c, sent, now)
				good := c == upstream.Accepted || c == upstream.BadToken || c == upstream.Gone || c == upstream.Throttled ||
					(c == upstream.Refused || c == upstream.Unknown || c == upstream.BadPriority) && m.why != upstream.CredentialRefused
				want := 0
				switch {
				case !good:
				case !m.open:
					m.said = append(m.said, upstream.Accepted)
				case !sent.Before(m.since):
					m.vain = 0
					m.probe, want = now.Add(m.wait(m.why)), 2
				}
				if got != want {
					t.Fatalf("%d may go, want %d", got, want)
				}
				if got > 0 && rapid.Bool().Draw(t, "these are all") {
					b.emptied(now)
					*m = breakerModel{why: m.why, since: now}
				}
			},
			"probe": func(t *rapid.T) {
				if !b.due(now) {
					t.Skip("none is due")
				}
				b.probed(now)
				m.vain++
				m.probe = now.Add(m.wait(m.why))
			},
			"reload": func(*rapid.T) {
				b.renewed(now)
				m.said, m.since, m.vain, m.probe = nil, now, 0, now
			},
			"": func(t *rapid.T) {
				if b.open() != m.open || b.due(now) != (m.open && !now.Before(m.probe)) {
					t.Fatalf("%+v at %v, want %+v", b, now, m)
				}
				if m.open && b.probe.Sub(now) > 30*time.Second {
					t.Fatalf("the next probe is due in %v", b.probe.Sub(now))
				}
			},
		})
	})
}
