package trace

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"pgregory.net/rapid"
)

var noon = time.Unix(1_800_000_000, 0)

func TestParsePrefix(t *testing.T) {
	for _, tt := range []struct {
		text, want string
		ok         bool
	}{
		{"", "", true}, {"31", "31", true}, {"31A", "31a", true}, {"3g", "", false}, {"<31ab>", "", false},
		{strings.Repeat("0", 200), strings.Repeat("0", 200), true}, {strings.Repeat("0", 201), "", false},
	} {
		if got, err := ParsePrefix(tt.text); got != tt.want || (err == nil) != tt.ok {
			t.Errorf("%.10q: got %q, %v", tt.text, got, err)
		}
	}
}

// A prefix is of the tokens whose hex begins so, whole bytes or not.
func TestWants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		few := rapid.SliceOfN(rapid.SampledFrom([]byte{0x31, 0x3a, 0xab, 0xa1}), 0, 4)
		token := few.Draw(t, "token")
		prefix := hex.EncodeToString(few.Draw(t, "prefix"))
		prefix = prefix[:rapid.IntRange(0, len(prefix)).Draw(t, "digits")]
		w := (*Watch)(nil).With(Subject{Prefix: prefix, Until: noon.Add(1)}, noon)
		if got, want := w.Wants(token), strings.HasPrefix(hex.EncodeToString(token), prefix); got != want {
			t.Fatalf("%x begins with %q: got %v", token, prefix, got)
		}
	})
}

func TestSubjectsComeAndGo(t *testing.T) {
	var w *Watch
	until := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
	w = w.With(Subject{Prefix: "31", Until: until(10)}, noon)
	w = w.With(Subject{Prefix: "32", Until: until(5)}, noon)
	if w.At(until(4)) != w {
		t.Error("it changes though nothing is over")
	}
	if w = w.At(until(5)); len(w.Subjects()) != 1 || w.Wants([]byte{0x32}) || !w.Wants([]byte{0x31}) {
		t.Errorf("after five minutes: %+v", w.Subjects())
	}
	w = w.With(Subject{Prefix: "31", Until: until(20)}, until(6))
	if got := w.Subjects(); len(got) != 1 || !got[0].Until.Equal(until(20)) {
		t.Errorf("switched on again: %+v", got)
	}
	if w.With(Subject{Prefix: "31", Until: until(7)}, until(7)) != nil || w.At(until(20)) != nil {
		t.Error("it is not over")
	}
	for i := range 100 {
		w = w.With(Subject{Prefix: fmt.Sprintf("%04x", i), Until: until(60)}, noon)
	}
	if len(w.Subjects()) != subjectsMost || !w.Wants([]byte{0, 99}) || w.Wants([]byte{0, 1}) {
		t.Errorf("%d subjects, want the latest %d", len(w.Subjects()), subjectsMost)
	}
}

// As much of a token is shown as was asked for, eight digits at least, and never all.
// Texts are shown where that was asked for.
func TestDescribe(t *testing.T) {
	token, _ := hex.DecodeString("31ab31ab31ab31ab")
	payload := []byte(`{"aps":{"alert":"secret \" and more","badge":3,"sound" : "x"},"list":["a",1,true]}`)
	for _, tt := range []struct {
		prefix   string
		payloads bool
		shown    string
	}{
		{"", false, "31ab31ab"}, {"31", false, "31ab31ab"}, {"31ab31ab3", true, "31ab31ab3"}, {"31ab31ab31ab31ab", false, "31ab31ab31ab31a"},
	} {
		w := (*Watch)(nil).With(Subject{Prefix: tt.prefix, Payloads: tt.payloads, Until: noon.Add(1)}, noon)
		shown, text := w.Describe(token, payload)
		want := `{"aps":{"alert":"…","badge":3,"sound" : "…"},"list":["…",1,true]}`
		if tt.payloads {
			want = string(payload)
		}
		if shown != tt.shown || text != want {
			t.Errorf("%q: got %s and %s", tt.prefix, shown, text)
		}
	}
	w := (*Watch)(nil).With(Subject{Until: noon.Add(1)}, noon)
	if _, text := w.Describe(token, []byte("Dinner at eight?")); text != "…" {
		t.Errorf("of what is no JSON %s is shown", text)
	}
	if shown, _ := w.Describe([]byte{0x31}, nil); shown != "3" {
		t.Errorf("of a short token %s is shown", shown)
	}
}

// No text of a payload is kept, whatever it is.
func FuzzWithoutTexts(f *testing.F) {
	for _, seed := range []string{`{"a":"b"}`, `{"a":["b","c\"d"]}`, `"`, `"a`, `"a\`, `{"a" :`, `"a" "b"`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		const secret = "\xffsecret"
		got := withoutTexts(append(append(bytes.Clone(payload), `{"x":"`...), secret+`"}`...))
		if bytes.Contains(got, []byte(secret)) {
			t.Errorf("%q: got %q", payload, got)
		}
		if len(got) > 4*len(payload)+100 {
			t.Errorf("%d bytes became %d", len(payload), len(got))
		}
	})
}

// The ring keeps the latest, within its bounds, whatever comes.
func TestRing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(0, 5).Draw(t, "most")
		r := NewRing(most)
		var order []ID // of what was begun, oldest first
		names := rapid.Custom(func(t *rapid.T) ID { return ID{rapid.ByteRange(1, 9).Draw(t, "id")} })
		for range rapid.IntRange(0, 200).Draw(t, "events") {
			id := names.Draw(t, "name")
			if rapid.Bool().Draw(t, "begin") {
				if !r.Knows(id) {
					order = append(order, id)
				}
				r.Begin(id, Note{App: "mail", APNsID: string(id[:1]),
					Payload: strings.Repeat("x", rapid.IntRange(0, 3000).Draw(t, "payload"))})
			} else {
				r.Add(id, Step{Detail: strings.Repeat("x", rapid.IntRange(0, 300).Draw(t, "detail"))})
			}
			notes, size := r.Used()
			all := r.Ask(Question{App: "mail"})
			if notes > most || size > most*noteBytes || size < 0 || notes != len(all) || notes == 0 && size != 0 {
				t.Fatalf("%d notes of %d, %d found, with %d bytes", notes, most, len(all), size)
			}
			counted := 0
			for i, n := range all { // those that were begun last, in their order
				if want := order[len(order)-len(all)+i]; n.APNsID != string(want[:1]) {
					t.Fatalf("%q stands at %d of %d", n.APNsID, i, len(all))
				}
				if len(n.Steps) > stepsMost {
					t.Fatalf("%d steps", len(n.Steps))
				}
				counted += noteOverhead + len(n.Payload)
				for _, s := range n.Steps {
					counted += stepBytes + len(s.Detail)
				}
			}
			if counted != size {
				t.Fatalf("%d bytes are kept, and %d counted", counted, size)
			}
		}
	})
}

func TestAsk(t *testing.T) {
	r := NewRing(10)
	for i := range uint32(4) {
		n := Note{App: "mail", APNsID: fmt.Sprintf("id-%d", i), Token: fmt.Sprintf("31ab000%d", i), Session: 7}
		if i > 0 {
			n.Identifier = &i
		}
		r.Begin(ID{byte(i)}, n)
	}
	r.AddNamed(7, 2, Step{What: Told})
	r.AddNamed(8, 2, Step{What: Told})
	two := uint32(2)
	for _, tt := range []struct {
		name string
		q    Question
		want string
	}{
		{"an app", Question{App: "mail"}, "id-0 id-1 id-2/told id-3"}, {"another app", Question{App: "chat"}, ""},
		{"the latest", Question{App: "mail", Limit: 2}, "id-2/told id-3"}, {"a prefix", Question{App: "mail", Prefix: "31ab0003"}, "id-3"},
		{"more of a token than is shown", Question{App: "mail", Prefix: "31ab0003ffff"}, "id-3"},
		{"an identifier", Question{App: "mail", Identifier: &two}, "id-2/told"}, {"an apns-id", Question{App: "mail", APNsID: "ID-1"}, "id-1"},
	} {
		var got []string
		for _, n := range r.Ask(tt.q) {
			text := n.APNsID
			for _, s := range n.Steps {
				text += "/" + string(s.What)
			}
			got = append(got, text)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: got %v, want %s", tt.name, got, tt.want)
		}
	}
}

func TestCurl(t *testing.T) {
	n := Note{APNsID: "id", Topic: "com.example.mail", Token: "31ab31ab", PushType: "alert", Priority: 10,
		Expiration: 1_800_000_000,
		Payload:    `{"aps":{"alert":"it's"}}`, Endpoint: "https://api.push.apple.com", Credential: "token"}
	want := `curl --http2 --header "authorization: bearer $JWT" \
  --header 'apns-topic: com.example.mail' \
  --header 'apns-push-type: alert' \
  --header 'apns-priority: 10' \
  --header 'apns-expiration: 1800000000' \
  --header 'apns-id: id' \
  --data-raw '{"aps":{"alert":"it'\''s"}}' \
  https://api.push.apple.com/3/device/"$TOKEN"
`
	if _, got, _ := strings.Cut(n.Curl(), "-apns\n"); got != want {
		t.Errorf("got\n%s", n.Curl())
	}
	n.Credential, n.Expiration = "certificate", -1
	if got := n.Curl(); !strings.Contains(got, `--cert "$CERTIFICATE"`) || strings.Contains(got, "JWT") ||
		strings.Contains(got, "expiration") {
		t.Errorf("got\n%s", got)
	}
}

// Whatever a provider sends is one word for a shell, and nothing for a terminal or for curl
// to obey.
func TestCurlOfHostilePayloads(t *testing.T) {
	curl := filepath.Join(t.TempDir(), "curl")
	const argument = `for word do [ "$taken" ] && printf %s "$word" && exit; [ "$word" = --data-raw ] && taken=1; done`
	if err := os.WriteFile(curl, []byte("#!/bin/sh\n"+argument+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, payload := range []string{"@/etc/passwd", "-o /tmp/x", "it's", "$HOME `id` $(id) \\", "a\nb\tc", "\x1b]0;title\a\x1b[31m'\\'\u009b1m\x00", "\u202eolleh"} {
		n := Note{Payload: payload, Topic: "t", PushType: "alert", Endpoint: "https://h", Credential: "certificate", OwnCA: true}
		text := n.Curl()
		if strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && r != '\t' && !unicode.IsPrint(r) }) {
			t.Errorf("a terminal would obey %q", text)
		}
		if !strings.Contains(text, `curl --http2 --cacert "$CA" --cert "$CERTIFICATE"`) || !strings.Contains(text, " --data-raw ") {
			t.Errorf("got %s", text)
		}
		for _, shell := range []string{"bash", "zsh"} {
			path, err := exec.LookPath(shell)
			if err != nil {
				continue
			}
			got, err := exec.Command(path, "-c", strings.Replace(text, "curl ", curl+" ", 1)).Output()
			want, _, _ := strings.Cut(payload, "\x00") // which no argument can have
			if err != nil || string(got) != want {
				t.Errorf("%s takes %q for %q, error %v", shell, payload, got, err)
			}
		}
	}
}

// What is not traced costs nothing but the question.
func TestWantsAllocs(t *testing.T) {
	w := (*Watch)(nil).With(Subject{Prefix: "31ab", Until: noon.Add(1)}, noon)
	token := make([]byte, 32)
	if n := testing.AllocsPerRun(100, func() { w.Wants(token) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkWants(b *testing.B) {
	b.ReportAllocs()
	w := (*Watch)(nil).With(Subject{Prefix: "31ab", Until: noon.Add(1)}, noon)
	tokens := make([][]byte, 1024)
	for i := range tokens {
		tokens[i] = make([]byte, 32)
		for j := range tokens[i] {
			tokens[i][j] = byte(rand.IntN(256))
		}
	}
	i := 0
	for b.Loop() {
		w.Wants(tokens[i&1023])
		i++
	}
}
