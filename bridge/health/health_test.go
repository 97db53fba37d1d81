package health

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"pgregory.net/rapid"

	"apnsbridge/bridge/upstream"
)

func says(v upstream.Verdict) string { return v.Reason }

// told gives the lines of a log in short: the problem, with the changes that had
// no line of their own.
func told(t rapid.TB, log string) (lines []string) {
	t.Helper()
	for line := range strings.Lines(log) {
		var event struct {
			Level, App, Message string
			Changes             int
		}
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatal(err)
		}
		if well := event.Message == "APNs accepts again"; event.App != "mail" || well != (event.Level == "info") {
			t.Errorf("got the line %s", line)
		}
		said := event.Message
		if event.Changes > 0 {
			said += fmt.Sprintf(" +%d", event.Changes)
		}
		lines = append(lines, said)
	}
	return lines
}

// How an app fares is logged when it changes, and once a minute when it changes
// all the time.
func TestHealthLog(t *testing.T) {
	const well = "APNs accepts again"
	for _, tt := range []struct {
		name    string
		fares   string // a letter each second: a to c are problems, w is none, a dot is nothing
		want    []string
		seconds []int // of these
	}{
		{"well", strings.Repeat("w", 200), nil, nil},
		{"once", "waaaaaw" + strings.Repeat("w", 200), []string{"a", well}, []int{1, 6}},
		{"for long", strings.Repeat("a", 200) + "w", []string{"a", well}, []int{0, 200}},
		{"from one problem to another", "ab" + strings.Repeat("b", 200), []string{"a", "b"}, []int{0, 1}},
		{"flapping", strings.Repeat("aw", 90), []string{"a", well, "a +59", "a +60"}, []int{0, 1, 61, 121}},
		{"flapping, then ill without a word", "awa" + strings.Repeat(".", 100), []string{"a", well, "a +1"}, []int{0, 1, 61}},
		{"flapping, then well without a word", "awaw" + strings.Repeat(".", 100), []string{"a", well, well + " +2"}, []int{0, 1, 61}},
		{"again when one word may be said", "aw" + strings.Repeat(".", 60) + "aw" + strings.Repeat(".", 70), []string{"a", well, "a", well + " +1"}, []int{0, 1, 62, 121}},
		{"again when two may", "aw" + strings.Repeat(".", 130) + "aw" + strings.Repeat(".", 70), []string{"a", well, "a", well}, []int{0, 1, 132, 133}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var text strings.Builder
			h, at := New("mail", zerolog.New(&text)), time.Unix(1_800_000_000, 0)
			var seconds []int
			for second, fares := range tt.fares {
				before := text.Len()
				h.Tick(at)
				switch fares {
				case 'w':
					h.Say(Scope{}, "")
				case '.':
				default:
					h.Say(Scope{}, string(fares))
				}
				at = at.Add(time.Second)
				for range strings.Count(text.String()[before:], "\n") {
					seconds = append(seconds, second)
				}
			}
			if got := told(t, text.String()); !slices.Equal(got, tt.want) || !slices.Equal(seconds, tt.seconds) {
				t.Errorf("got %q at %v, want %q at %v", got, seconds, tt.want, tt.seconds)
			}
		})
	}
}

// However an app fares, its lines are bounded, every change is in one of them,
// and the last word is true at most a minute later.
func TestHealthLogBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var text strings.Builder
		h, start := New("mail", zerolog.New(&text)), time.Unix(1_800_000_000, 0)
		now, problem, changes := start, "", 0
		for range rapid.IntRange(1, 300).Draw(t, "events") {
			next := rapid.SampledFrom([]string{"", "", "a", "b"}).Draw(t, "problem")
			if next != problem {
				changes++
			}
			problem = next
			h.Say(Scope{}, problem)
			for range rapid.SampledFrom([]int{0, 0, 1, 10, 130}).Draw(t, "seconds") {
				now = now.Add(time.Second)
				h.Tick(now)
			}
		}
		minutes := int(now.Sub(start) / newsEvery)
		if got := strings.Count(text.String(), "\n"); got > newsAtOnce+minutes {
			t.Errorf("%d lines in %d minutes", got, minutes)
		}
		for range 61 {
			now = now.Add(time.Second)
			h.Tick(now)
		}
		lines := told(t, text.String())
		said, last := 0, ""
		for _, line := range lines {
			var more int
			word, count, bundled := strings.Cut(line, " +")
			if bundled {
				fmt.Sscan(count, &more)
				said += more
			} else {
				said++
			}
			if last = word; word == "APNs accepts again" {
				last = ""
			}
		}
		if said != changes || last != problem {
			t.Errorf("%d changes are told, the last is %q; want %d and %q:\n%s", said, last, changes, problem, text.String())
		}
	})
}

// An app is served as long as something of it is, in whatever environment, and a
// problem of one topic of several, or of single notifications, changes nothing.
func TestServed(t *testing.T) {
	h, came := New("mail", zerolog.Nop()), comer()
	production, sandbox, chat := Scope{}, Scope{Environment: 1}, Scope{1, "com.example.chat"}
	for i, step := range []struct {
		at     Scope
		class  upstream.Class
		served bool
	}{
		{production, upstream.Accepted, true},
		{production, upstream.Unknown, true},
		{production, upstream.Unprocessed, true},
		{production, upstream.CredentialRefused, false},
		{sandbox, upstream.Accepted, true},
		{chat, upstream.TopicRefused, true},
		{chat, upstream.NoConnection, false},
		{production, upstream.Accepted, true},
		{production, upstream.TopicRefused, false},
		{chat, upstream.Accepted, true},
	} {
		h.Note(step.at, came(), true, upstream.Verdict{Class: step.class}, says)
		if h.Served() != step.served {
			t.Errorf("step %d, %v: served %v", i, step.class, h.Served())
		}
	}
	h = New("mail", zerolog.Nop())
	for _, class := range []upstream.Class{upstream.Accepted, upstream.CredentialRefused} { // of one key of several
		h.Note(chat, came(), false, upstream.Verdict{Class: class}, says)
	}
	if !h.Served() || h.problems[chat].says == "" || len(h.problems) != 1 {
		t.Errorf("served %v, problems %v", h.Served(), h.problems)
	}
}

// What has answered can be reached, whatever it said.
func TestReachedAndRefused(t *testing.T) {
	h, came := New("mail", zerolog.Nop()), comer()
	for reason, want := range map[string]string{"dial tcp: refused": "APNs cannot be reached: dial tcp: refused",
		"UnrelatedKeyIdInToken": "APNs takes nothing on any connection: 403 UnrelatedKeyIdInToken: see to the key"} {
		v := upstream.Verdict{Class: upstream.NoConnection, Reason: reason}
		if reason == "UnrelatedKeyIdInToken" {
			v.Code, v.Remedy = 403, "see to the key"
		}
		h.Note(Scope{}, came(), true, v, says)
		if got := h.problems[Scope{}].says; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
