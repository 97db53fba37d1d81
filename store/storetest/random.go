package storetest

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"apnsbridge/store"
)

// lists is a naive model of a store.Feedback: for each app a slice of the entries on
// its list and one of those that can be given again, in the order in which they came
// or changed.
type lists struct {
	s     Settings
	apps  map[string][]listed
	given map[string][]listed
}

type listed struct {
	token string
	time  int // milliseconds after the epoch
	since time.Time
}

func find(l []listed, token string) int {
	return slices.IndexFunc(l, func(e listed) bool { return e.token == token })
}

// bound drops entries that are too old or too many. A list is ordered by time.
func (m *lists) bound(app string) {
	m.apps[app] = m.bounded(m.apps[app], m.s.Age)
	m.given[app] = m.bounded(m.given[app], store.FeedbackGivenAge)
}

func (m *lists) bounded(l []listed, age time.Duration) []listed {
	for len(l) > 0 && (m.s.Now().Sub(l[0].since) > age || len(l) > m.s.Entries) {
		l = l[1:]
	}
	return l
}

func (m *lists) record(app string, dead []store.Dead) {
	m.bound(app)
	for _, d := range dead {
		m.put(app, string(d.Token), int(d.Time.Sub(epoch).Milliseconds()))
	}
	m.bound(app)
}

// put puts a token on the list and reports whether that changes it.
func (m *lists) put(app, token string, time int) bool {
	if i := find(m.apps[app], token); i >= 0 {
		if m.apps[app][i].time >= time {
			return false
		}
		m.apps[app] = slices.Delete(m.apps[app], i, i+1)
	}
	m.apps[app] = append(m.apps[app], listed{token, time, m.s.Now()})
	return true
}

func (m *lists) forget(app string, dead []store.Dead) {
	m.bound(app)
	for _, d := range dead {
		i := find(m.apps[app], string(d.Token))
		if i < 0 || !at(m.apps[app][i].time).Equal(d.Time) {
			continue
		}
		e := m.apps[app][i]
		e.since = m.s.Now()
		m.apps[app] = slices.Delete(m.apps[app], i, i+1)
		if i := find(m.given[app], e.token); i >= 0 {
			e.time = max(e.time, m.given[app][i].time)
			m.given[app] = slices.Delete(m.given[app], i, i+1)
		}
		m.given[app] = append(m.given[app], e)
	}
	m.bound(app)
}

func (m *lists) again(app string) (n int) {
	m.bound(app)
	for len(m.given[app]) > 0 && len(m.apps[app]) < m.s.Entries {
		e := m.given[app][0]
		m.given[app] = m.given[app][1:]
		if m.put(app, e.token, e.time) {
			n++
		}
	}
	return n
}

func (m *lists) revive(app string, token []byte, sent time.Time) {
	m.bound(app)
	for _, l := range []map[string][]listed{m.apps, m.given} {
		if i := find(l[app], string(token)); i >= 0 && at(l[app][i].time).Before(sent) {
			l[app] = slices.Delete(l[app], i, i+1)
		}
	}
}

func (m *lists) pending(app string) []store.Dead {
	m.bound(app)
	var list []store.Dead
	for _, e := range m.apps[app] {
		list = append(list, store.Dead{Token: []byte(e.token), Time: at(e.time)})
	}
	slices.SortFunc(list, func(a, b store.Dead) int { return bytes.Compare(a.Token, b.Token) })
	return list
}

// randomFeedback compares a store with the model over random histories.
func randomFeedback(t *testing.T, place func() Place[store.Feedback]) {
	apps := rapid.SampledFrom([]string{"mail", "news"})
	entry := rapid.Custom(func(t *rapid.T) store.Dead {
		return dead(rapid.IntRange(1, 8).Draw(t, "token"), rapid.IntRange(0, 5).Draw(t, "ms"))
	})
	rapid.Check(t, func(rt *rapid.T) {
		now := epoch
		entries := rapid.IntRange(1, 6).Draw(rt, "entries")
		s := Settings{Entries: entries, Age: time.Hour, Now: func() time.Time { return now }}
		model := &lists{s: s, apps: make(map[string][]listed), given: make(map[string][]listed)}
		open := place()
		f := open(s)
		revisions := make(map[string]uint64)
		rt.Repeat(map[string]func(*rapid.T){
			"record": func(rt *rapid.T) {
				app, dead := apps.Draw(rt, "app"), rapid.SliceOfN(entry, 0, 5).Draw(rt, "dead")
				must(rt, f.Record(ctx, app, dead...))
				model.record(app, dead)
			},
			"forget": func(rt *rapid.T) {
				app, dead := apps.Draw(rt, "app"), rapid.SliceOfN(entry, 0, 5).Draw(rt, "dead")
				must(rt, f.Forget(ctx, app, dead...))
				model.forget(app, dead)
			},
			"forget all": func(rt *rapid.T) {
				app := apps.Draw(rt, "app")
				all := pending(rt, f, app)
				must(rt, f.Forget(ctx, app, all...))
				model.forget(app, all)
			},
			"again": func(rt *rapid.T) {
				app := apps.Draw(rt, "app")
				got, err := f.Again(ctx, app)
				must(rt, err)
				if want := model.again(app); got != want {
					rt.Errorf("%s: Again moved %d, want %d", app, got, want)
				}
			},
			"revive": func(rt *rapid.T) {
				app, d := apps.Draw(rt, "app"), entry.Draw(rt, "sent")
				must(rt, f.Revive(ctx, app, d.Token, d.Time))
				model.revive(app, d.Token, d.Time)
			},
			"time goes on": func(rt *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(1, 40).Draw(rt, "minutes")) * time.Minute)
			},
			"a night passes": func(*rapid.T) {
				now = now.Add(12 * time.Hour)
			},
			"open again": func(*rapid.T) { f = open(s) },
			"": func(rt *rapid.T) {
				for _, app := range []string{"mail", "news"} {
					check(rt, f, app, text(model.pending(app)))
					revisions[app] = checkRevision(rt, f, app, revisions[app])
				}
			},
		})
	})
}

// checkRevision returns the revision of a list. It checks that it is not lower than last, and not
// lower than that of any entry.
func checkRevision(t rapid.TB, f store.Feedback, app string, last uint64) (revision uint64) {
	t.Helper()
	revision, err := f.Revision(ctx, app)
	must(t, err)
	if revision < last {
		t.Errorf("%s: the list's revision went back from %d to %d", app, last, revision)
	}
	for _, d := range pending(t, f, app) {
		if d.Revision == 0 || d.Revision > revision {
			t.Errorf("%s: there is an entry of revision %d on a list of revision %d", app, d.Revision, revision)
		}
	}
	return revision
}
