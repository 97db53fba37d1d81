package health

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/bridge/upstream"
)

// comer gives verdicts of one line their times.
func comer() func() Came {
	line, now := new(Served), time.Duration(0)
	return func() Came {
		now++
		return Came{When: now, Line: line}
	}
}

// Who notes a verdict may be late: in whatever order that happens, the app fares as it does
// when they are noted as they came.
func TestOrderOfNotes(t *testing.T) {
	type verdict struct {
		at   Scope
		only bool
		v    upstream.Verdict
		when time.Duration
	}
	r := rand.New(rand.NewPCG(1, 1))
	classes := []upstream.Class{upstream.Accepted, upstream.Accepted, upstream.ServerError, upstream.TopicRefused,
		upstream.CredentialRefused}
	fare := func(all []verdict) string {
		h, lines := New("mail", zerolog.Nop()), make(map[Scope]*Served)
		for _, x := range all {
			if lines[x.at] == nil {
				lines[x.at] = new(Served)
			}
			h.Note(x.at, Came{When: x.when, Line: lines[x.at]}, x.only, x.v, says)
		}
		return fmt.Sprint(h.Served(), slices.Sorted(maps.Keys(problemsOf(h))))
	}
	for range 20_000 {
		var all []verdict
		for i := range 1 + r.IntN(6) {
			at := Scope{Environment: Environment(r.IntN(2)),
				Line: []string{"", "com.example.chat", "com.example.mail"}[r.IntN(3)]}
			all = append(all, verdict{at, r.IntN(2) == 0,
				upstream.Verdict{Class: classes[r.IntN(len(classes))], Reason: fmt.Sprint(i)}, time.Duration(1 + i)})
		}
		want := fare(all)
		late := slices.Clone(all)
		r.Shuffle(len(late), func(i, j int) { late[i], late[j] = late[j], late[i] })
		if got := fare(late); got != want {
			t.Fatalf("%v: it fares %s, and %s when noted as %v", all, want, got, late)
		}
	}
}

// problemsOf is the problems by where they are and what they say.
func problemsOf(h *Health) map[string]bool {
	all := make(map[string]bool)
	for at, p := range h.problems {
		all[fmt.Sprint(at, WithoutExample(p.says))] = true
	}
	return all
}
