package storetest

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"apnsbridge/store"
)

// lists is the naive model of a store.Feedback: a slice per app, in the order
// in which entries came or changed.
type lists struct {
	s    Settings
	apps map[string][]listed
}

type listed struct {
	token string
	time  int // milliseconds after the epoch
	since time.Time
}

func (m *lists) find(app, token string) int {
	return slices.IndexFunc(m.apps[app], func(e listed) bool { return e.token == token })
}

// bound drops what is too old or too much. A list is in the order of time.
func (m *lists) bound(app string) {
	l := m.apps[app]
	for len(l) > 0 && (m.s.Now().Sub(l[0].since) > m.s.Age || len(l) > m.s.Entries) {
		l = l[1:]
	}
	m.apps[app] = l
}

func (m *lists) record(app string, dead []store.Dead) {
	m.bound(app)
	for _, d := range dead {
		e := listed{string(d.Token), int(d.Time.Sub(epoch).Milliseconds()), m.s.Now()}
		if i := m.find(app, e.token); i >= 0 {
			if m.apps[app][i].time >= e.time {
				continue
			}
			m.apps[app] = slices.Delete(m.apps[app], i, i+1)
		}
		m.apps[app] = append(m.apps[app], e)
	}
	m.bound(app)
}

func (m *lists) remove(app string, token []byte, leaves func(listed) bool) {
	m.bound(app)
	if i := m.find(app, string(token)); i >= 0 && leaves(m.apps[app][i]) {
		m.apps[app] = slices.Delete(m.apps[app], i, i+1)
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
		s := Settings{Entries: rapid.IntRange(1, 6).Draw(rt, "entries"), Age: time.Hour, Now: func() time.Time { return now }}
		model := &lists{s: s, apps: make(map[string][]listed)}
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
				for _, d := range dead {
					model.remove(app, d.Token, func(e listed) bool { return at(e.time).Equal(d.Time) })
				}
			},
			"forget all": func(rt *rapid.T) {
				app := apps.Draw(rt, "app")
				must(rt, f.Forget(ctx, app, pending(rt, f, app)...))
				model.apps[app] = nil
			},
			"revive": func(rt *rapid.T) {
				app, d := apps.Draw(rt, "app"), entry.Draw(rt, "sent")
				must(rt, f.Revive(ctx, app, d.Token, d.Time))
				model.remove(app, d.Token, func(e listed) bool { return at(e.time).Before(d.Time) })
			},
			"time goes on": func(rt *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(1, 40).Draw(rt, "minutes")) * time.Minute)
			},
			"open again": func(*rapid.T) { f = open(s) },
			"": func(rt *rapid.T) {
				for _, app := range []string{"mail", "news"} {
					check(rt, f, app, text(model.pending(app)))
					revision, err := f.Revision(ctx, app)
					must(rt, err)
					if revision < revisions[app] {
						rt.Errorf("%s: the revision went back from %d to %d", app, revisions[app], revision)
					}
					revisions[app] = revision
					for _, d := range pending(rt, f, app) {
						if d.Revision == 0 || d.Revision > revision {
							rt.Errorf("%s: an entry of revision %d on a list of revision %d", app, d.Revision, revision)
						}
					}
				}
			},
		})
	})
}
