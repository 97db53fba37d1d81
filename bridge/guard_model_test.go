package bridge

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"apnsbridge/store"
)

// guardEvent is what happened to an app, as the model remembers it.
type guardEvent struct {
	what        string // "refused", "accepted", "changed", "recorded"
	token       string
	sent, at    time.Time
	heldThen    bool // the state before
	alarmedThen bool // this event gave the alarm
}

// guardModel has no state but what happened. It reads all of it again for each
// question.
type guardModel struct{ history []guardEvent }

// since is the part of the history under the present credential, and when that
// came.
func (m *guardModel) since() (part []guardEvent, changed time.Time) {
	part = m.history
	for i, e := range m.history {
		if e.what == "changed" {
			part, changed = m.history[i+1:], e.at
		}
	}
	return part, changed
}

// inARow are the different tokens refused since the last acceptance under the
// present credential, the first 50.
func (m *guardModel) inARow() (tokens []string) {
	part, changed := m.since()
	for _, e := range part {
		switch {
		case !e.sent.After(changed) || e.heldThen && e.what == "refused":
		case e.what == "accepted":
			tokens = nil
		case e.what == "refused" && !slices.Contains(tokens, e.token) && len(tokens) < guardTokens:
			tokens = append(tokens, e.token)
		}
	}
	return tokens
}

// spokenFor says that the app has been accepted under the present credential or
// in the last seven days, which it knows to the hour.
func (m *guardModel) spokenFor(now time.Time) bool {
	part, changed := m.since()
	for _, e := range part {
		if e.what == "accepted" && e.sent.After(changed) {
			return true
		}
	}
	var last time.Time
	for _, e := range m.history {
		if e.what == "accepted" && e.sent.Sub(last) >= time.Hour {
			last = e.sent
		}
	}
	return !last.IsZero() && now.Sub(last) < 7*24*time.Hour
}

func (m *guardModel) alarmed() bool {
	part, _ := m.since()
	return slices.ContainsFunc(part, func(e guardEvent) bool { return e.alarmedThen })
}

// withdrawn is what the feedback list must not keep as a hold begins.
func (m *guardModel) withdrawn() (all []store.Dead) {
	part, changed := m.since()
	for _, token := range m.inARow() {
		var latest time.Time
		refused := false
		for _, e := range part {
			switch {
			case e.what == "accepted" && e.sent.After(changed):
				refused, latest = false, time.Time{}
			case e.token != token:
			case e.what == "refused" && e.sent.After(changed):
				refused = true
			case e.what == "recorded" && refused && e.at.After(latest):
				latest = e.at
			}
		}
		if !latest.IsZero() {
			all = append(all, store.Dead{Token: []byte(token), Time: latest})
		}
	}
	return all
}

func TestGuardAgainstModel(t *testing.T) {
	rounds := 1
	if *long {
		rounds = 50
	}
	for range rounds {
		rapid.Check(t, checkGuard)
	}
}

func checkGuard(t *rapid.T) {
	var g guard
	m := new(guardModel)
	now := time.Unix(1_700_000_000, 0).UTC()
	var began time.Time // the last hold
	var probe time.Time // when the next is due
	holding := false
	token := rapid.Custom(func(t *rapid.T) string { return fmt.Sprint(rapid.IntRange(0, 70).Draw(t, "number")) })
	age := rapid.SampledFrom([]time.Duration{0, 0, time.Second, time.Minute})
	refuse := func(t *rapid.T, token string, sent time.Time) {
		e := guardEvent{what: "refused", token: token, sent: sent, at: now, heldThen: holding}
		_, changed := m.since()
		row := m.inARow()
		want := ruling{hold: holding}
		if !holding && sent.After(changed) {
			if !slices.Contains(row, token) {
				row = append(row, token)
			}
			if len(row) >= guardTokens {
				switch {
				case !m.spokenFor(now):
					want = ruling{hold: true, alarm: true, withdraw: m.withdrawn()}
					holding, began, probe = true, now, now.Add(30*time.Second)
				default:
					want.alarm = !m.alarmed()
				}
			}
		}
		got := g.refused([]byte(token), sent, now)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("refused %s: got %v, want %v", token, got, want)
		}
		e.alarmedThen = want.alarm
		m.history = append(m.history, e)
	}
	t.Repeat(map[string]func(*rapid.T){
		"time": func(t *rapid.T) {
			now = now.Add(rapid.SampledFrom([]time.Duration{time.Second, 10 * time.Second, 20 * time.Minute, 24 * time.Hour, 6 * 24 * time.Hour}).Draw(t, "passes"))
		},
		"refused": func(t *rapid.T) {
			refuse(t, token.Draw(t, "token"), now.Add(-age.Draw(t, "age")))
		},
		"many are refused": func(t *rapid.T) {
			sent, first := now.Add(-age.Draw(t, "age")), rapid.IntRange(0, 70).Draw(t, "first")
			for i := range rapid.IntRange(1, 60).Draw(t, "count") {
				refuse(t, fmt.Sprint((first+i)%71), sent)
			}
		},
		"recorded": func(t *rapid.T) {
			tok, at := token.Draw(t, "token"), now.Add(-age.Draw(t, "age"))
			got, want := g.recordable([]byte(tok), at), !holding && at.After(began)
			if got != want {
				t.Fatalf("recordable is %v, want %v", got, want)
			}
			if want {
				m.history = append(m.history, guardEvent{what: "recorded", token: tok, sent: at, at: at})
			}
		},
		"accepted": func(t *rapid.T) {
			sent := now.Add(-age.Draw(t, "age"))
			_, changed := m.since()
			wantRelease := holding && sent.After(changed)
			quiet := sent.Before(g.quiet())
			before := fmt.Sprintf("%+v", g)
			release, save := g.accepted(sent)
			if release != wantRelease {
				t.Fatalf("release is %v, want %v", release, wantRelease)
			}
			if quiet && (save || fmt.Sprintf("%+v", g) != before) {
				t.Fatalf("an acceptance changed what was said to be quiet")
			}
			holding = holding && !release
			m.history = append(m.history, guardEvent{what: "accepted", sent: sent, at: now})
		},
		"credential changed": func(t *rapid.T) {
			g.credentialChanged(now)
			probe = now
			m.history = append(m.history, guardEvent{what: "changed", at: now})
		},
		"probe": func(t *rapid.T) {
			if !holding || now.Before(probe) {
				t.Skip("not due")
			}
			g.probed(now)
			probe = now.Add(30 * time.Second)
		},
		"restart": func(t *rapid.T) {
			if holding {
				t.Skip("on hold")
			}
			record := g.record()
			g = guard{since: now}
			if err := g.restore(record, now); err != nil {
				t.Fatal(err)
			}
			began = time.Time{}
			m.history = append(m.history, guardEvent{what: "changed", at: now})
		},
		"": func(t *rapid.T) {
			if len(g.refusals) > guardTokens || g.holding != holding {
				t.Fatalf("%d refusals, holding %v; want at most %d, %v", len(g.refusals), g.holding, guardTokens, holding)
			}
			if got, want := g.probeDue(now), holding && !now.Before(probe); got != want {
				t.Fatalf("a probe is due: %v, want %v", got, want)
			}
		},
	})
}
