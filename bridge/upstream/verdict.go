package upstream

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"apnsbridge/binproto"
)

// Class is what an attempt's end means for the notification.
type Class uint8

// What an attempt can end in.
const (
	Accepted          Class = iota + 1
	Refused                 // the provider's fault: it is told Verdict.Status
	BadToken                // the same with status 8, the only one that feedback ever hears of
	Gone                    // the app has left the device: feedback, in silence
	BadPriority             // once more with another priority
	BadPushType             // once more with another push type
	BadExpiration           // once more without the header
	CredentialRefused       // our credential: not the provider's fault
	TopicRefused            // our topic, under this credential: not the provider's fault either
	StaleToken              // our JWT: mint once and ask again
	TokenUpdates            // too many JWTs, and no older one to go back to: keep the one we have and wait
	Throttled               // too many requests for one device
	ServerError             // APNs, or what stands in its place, is not well
	NoConnection            // there is no connection to APNs
	Unprocessed             // not looked at by APNs: safe to repeat
	NoAnswer                // written, and no answer: once more with the same apns-id
	Unknown                 // words that are not known here, of this request alone: it waits for itself
)

// Verdict is what APNs said about one attempt.
type Verdict struct {
	Class  Class
	Status binproto.Status // for the provider, of Refused and BadToken
	Code   int             // the HTTP status, 0 without an answer
	Reason string          // APNs' word, or the error that kept it from us
	Remedy string          // of NoConnection: what the operator can do, if that is known
	Since  int64           // of Gone: milliseconds since 1970, 0 if APNs did not say

	// UniqueID is the sandbox's apns-unique-id, by which Apple's Push Notifications
	// Console finds the push; production has none.
	UniqueID string

	// OfConnection says that APNs has not looked at the push: it was said at the end of
	// its connection, and of all.
	OfConnection bool

	leave bool // the connection says it of itself
}

// Word is Reason where it is one of APNs' own, else empty: it may be a stranger's.
func (v Verdict) Word() string {
	if v.Reason == "" || find(v.Code, v.Reason).reason != v.Reason {
		return ""
	}
	return v.Reason
}

// Why is one of few words for why a notification has come to its end with v: APNs' own, or
// else the class.
func (v Verdict) Why() string { return cmp.Or(v.Word(), v.Class.String()) }

// Told is what was answered, after so long, in a sentence's words.
func (v Verdict) Told(after time.Duration) string {
	words := strings.TrimSpace(fmt.Sprintf("%d %s", v.Code, v.Words()))
	switch {
	case v.Class == NoConnection:
		return "there is no connection to APNs: " + v.Words()
	case v.Code == 0:
		return fmt.Sprintf("no answer after %v: %s", after, v.Words())
	case v.UniqueID != "":
		return fmt.Sprintf("%s after %v, apns-unique-id %s", words, after, v.UniqueID)
	}
	return fmt.Sprintf("%s after %v", words, after)
}

// String is the class in words.
func (c Class) String() string {
	if c == 0 || int(c) >= len(classes) {
		return "no class"
	}
	return classes[c].name
}

type answerKey struct {
	code  int
	words string
}

// answerIndex finds rows of answers.
type answerIndex struct {
	byReason map[answerKey]*answer // with the empty reason those that stand for all other words of a status
	byBody   map[answerKey]*answer // a reason and nothing else, byte for byte as APNs writes it
}

var answersBy = indexAnswers(answers)

func indexAnswers(rows []answer) answerIndex {
	by := answerIndex{make(map[answerKey]*answer, len(rows)), make(map[answerKey]*answer, len(rows))}
	for i := range rows {
		row := &rows[i]
		by.byReason[answerKey{row.code, row.reason}] = row
		if row.reason != "" {
			by.byBody[answerKey{row.code, `{"reason":"` + row.reason + `"}`}] = row
		}
	}
	return by
}

// find gives the row for an answer of APNs.
func find(code int, reason string) *answer {
	if a := answersBy.byReason[answerKey{code, reason}]; a != nil {
		return a
	}
	if a := answersBy.byReason[answerKey{code, ""}]; a != nil {
		return a
	}
	if code >= http.StatusInternalServerError {
		return &otherServer
	}
	return &otherStatus
}

// judge reads an answer. body is borrowed and may be anything.
func judge(code int, body []byte) Verdict {
	if code == http.StatusOK {
		return Verdict{Class: Accepted, Code: code}
	}
	// Reading JSON would be most of judging where many devices are throttled.
	if a := answersBy.byBody[answerKey{code, string(body)}]; a != nil {
		return Verdict{Class: a.class, Status: a.status, Code: code, Reason: a.reason, leave: a.leave}
	}
	var said struct {
		Reason    string
		Timestamp json.RawMessage
	}
	if json.Unmarshal(body, &said) != nil || said.Reason == "" {
		return Verdict{Class: wordless.class, Code: code, Reason: wordless.means, leave: wordless.leave}
	}
	a := find(code, said.Reason)
	v := Verdict{Class: a.class, Status: a.status, Code: code, Reason: clip(said.Reason), leave: a.leave}
	if a.reason != "" {
		v.Reason = a.reason // which costs nothing to keep
	}
	if v.Class == Gone {
		v.Since = millisOf(said.Timestamp)
	}
	return v
}

// judgeGoAway reads the words with which APNs ends a connection. They say
// something of what was asked on it only where all else that is asked would hear
// the same: the table judges them, whatever the status would be. false is for all
// others.
func judgeGoAway(debug string) (Verdict, bool) {
	reason := goAwayReason(debug)
	for i := range answers {
		a := &answers[i]
		if a.reason == "" || a.reason != reason || a.leave {
			continue
		}
		switch a.class {
		case CredentialRefused, TopicRefused, StaleToken, TokenUpdates, ServerError:
			return Verdict{Class: a.class, Code: a.code, Reason: reason, OfConnection: true}, true
		}
	}
	return Verdict{}, false
}

// goAwayReason is what APNs says in the JSON of a GOAWAY, or all of it if that is
// something else.
func goAwayReason(debug string) string {
	var said struct{ Reason string }
	if json.Unmarshal([]byte(debug), &said) == nil && said.Reason != "" {
		return clip(said.Reason)
	}
	return clip(debug)
}

// maxWord bounds the words of a stranger, in bytes. APNs' own have 27 at most.
const maxWord = 100

// maxWords is the same for an error.
const maxWords = 200

// Words is as much of Reason, which may be a stranger's, as fits in a sentence.
func (v Verdict) Words() string { return clipAt(maxWords, v.Reason) }

func clip(word string) string { return clipAt(maxWord, word) }

func clipAt(most int, word string) string {
	if len(word) > most {
		word = word[:most] + "…"
	}
	return strings.ToValidUTF8(strings.Map(printable, word), "?")
}

func printable(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return '?'
}

// millisOf reads a timestamp of APNs, milliseconds since 1970. It also takes a
// string or a fraction, and a number too small for milliseconds as the seconds
// it must be. 0 stands for everything else.
func millisOf(raw json.RawMessage) int64 {
	text := string(raw)
	if unquoted, err := strconv.Unquote(text); err == nil {
		text = unquoted
	}
	f, err := strconv.ParseFloat(text, 64)
	const earliestMillis = 1e11 // March 1973
	if f < earliestMillis {
		f *= 1000
	}
	if err != nil || !(f >= 1000 && f <= math.MaxUint32*1000) {
		return 0
	}
	return int64(f)
}

// GoneAt is the time for the feedback list: APNs' own, unless it said none or
// one that has not come yet; then the time the push was sent.
func (v Verdict) GoneAt(sent, now time.Time) time.Time {
	if v.Since == 0 || v.Since > now.Add(time.Hour).UnixMilli() {
		return sent
	}
	return time.UnixMilli(v.Since).UTC()
}
