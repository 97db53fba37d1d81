package feedback

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/store"
)

// list is a store.Feedback of which each call is noted, and the first ones fail.
type list struct {
	calls  []string
	fails  int
	failed func() // nil: nothing
}

func (l *list) call(format string, args ...any) error {
	if l.fails > 0 {
		if l.fails--; l.failed != nil {
			l.failed()
		}
		return errors.New("no space")
	}
	l.calls = append(l.calls, fmt.Sprintf(format, args...))
	return nil
}

func (l *list) Record(_ context.Context, app string, dead ...store.Dead) error {
	var tokens []string
	for _, d := range dead {
		tokens = append(tokens, string(d.Token))
	}
	return l.call("%s: %v", app, tokens)
}

func (l *list) Revive(_ context.Context, app string, token []byte, _ time.Time) error {
	return l.call("%s: not %s", app, token)
}

func (l *list) Listed(string, []byte) bool { return false }

// What came goes to the store in its order, what is alike in one call; what is in doubt only
// if it is believed; and whoever waits is told behind it, also when the end has come and it
// is lost.
func TestWriter(t *testing.T) {
	const many = most + 1
	for name, c := range map[string]struct {
		entries []string // an app's letter; a token, behind - alive, behind ? in doubt
		fails   int
		ended   bool
		want    []string
		figures [3]uint64 // of app m: recorded, revived, lost
	}{
		"alike":            {[]string{"ma", "mb", "mc"}, 0, false, []string{"m: [a b c]"}, [3]uint64{3, 0, 0}},
		"alive in between": {[]string{"ma", "m-a", "ma"}, 0, false, []string{"m: [a]", "m: not a", "m: [a]"}, [3]uint64{2, 1, 0}},
		"two apps":         {[]string{"ma", "nb", "mc"}, 0, false, []string{"m: [a]", "n: [b]", "m: [c]"}, [3]uint64{2, 0, 0}},
		"in doubt":         {[]string{"m?good", "m?bad", "ma"}, 0, false, []string{"m: [bad a]"}, [3]uint64{2, 0, 0}},
		"all in doubt":     {[]string{"m?good"}, 0, false, nil, [3]uint64{}},
		"a full disk":      {[]string{"ma", "m-b"}, 2, false, []string{"m: [a]", "m: not b"}, [3]uint64{1, 1, 0}},
		"at the end":       {[]string{"ma", "mb"}, 0, true, []string{"m: [a b]"}, [3]uint64{2, 0, 0}},
		"lost at the end":  {[]string{"ma", "mb", "m-c"}, 2, true, nil, [3]uint64{0, 0, 3}},
		"very many":        {slices.Repeat([]string{"m?good"}, many), 0, false, nil, [3]uint64{}},
	} {
		t.Run(name, func(t *testing.T) {
			l := &list{fails: c.fails}
			w := NewWriter(l, time.Microsecond, zerolog.Nop())
			apps := map[byte]*App{}
			for _, letter := range "mn" {
				apps[byte(letter)] = &App{Name: string(letter), Recordable: func(token []byte, _ time.Time) bool { return string(token) == "bad" }}
			}
			var told []int
			for i, text := range c.entries {
				e := Entry{App: apps[text[0]], Token: []byte(text[1:]), Then: func() { told = append(told, i) }}
				switch text[1] {
				case '-':
					e.Alive, e.Token = true, e.Token[1:]
				case '?':
					e.Doubt, e.Token = true, e.Token[1:]
				}
				w.Add(e)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if c.ended {
				cancel()
				w.Run(ctx)
			} else {
				w.Flush(ctx)
			}
			m := apps['m']
			if got := [3]uint64{m.Recorded.Load(), m.Revived.Load(), m.Lost.Load()}; !slices.Equal(l.calls, c.want) || got != c.figures {
				t.Errorf("called %q, figures %v", l.calls, got)
			}
			if len(told) != len(c.entries) || !slices.IsSorted(told) || w.Len() != 0 {
				t.Errorf("%d of %d are told, in the order %v", len(told), len(c.entries), told)
			}
		})
	}
}

// What the store does not take is counted as waiting, although it is tried again and again.
func TestWhatIsTriedAgainWaits(t *testing.T) {
	l := &list{fails: 1}
	w := NewWriter(l, time.Microsecond, zerolog.Nop())
	l.failed = func() {
		if got := w.Len(); got != 3 {
			t.Errorf("%d wait, want 3", got)
		}
	}
	app := &App{Name: "m"}
	for _, token := range []string{"a", "b"} {
		w.Add(Entry{App: app, Token: []byte(token), Then: func() {
			if got := w.Len(); got != 1 {
				t.Errorf("%d wait behind those that are stored, want 1", got)
			}
		}})
	}
	w.Add(Entry{App: app, Token: []byte("c"), Alive: true, Then: func() {}})
	w.Flush(t.Context())
	if got := w.Len(); got != 0 {
		t.Errorf("%d wait, want none", got)
	}
}
