package trace

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Subject is what is traced of an app for a while.
type Subject struct {
	Prefix   string    `json:"token"` // of device tokens, in hex; empty: all
	Payloads bool      `json:"payloads"`
	Until    time.Time `json:"until"`
}

// ParsePrefix gives the beginning of device tokens, in hex, as a Subject has it.
func ParsePrefix(text string) (string, error) {
	text = strings.ToLower(text)
	digits := text
	if len(digits)%2 == 1 {
		digits += "0"
	}
	if _, err := hex.DecodeString(digits); err != nil || len(text) > 200 {
		return "", fmt.Errorf("the beginning of a device token is at most 200 hexadecimal digits, like 31ab")
	}
	return text, nil
}

// Watch is what is traced of an app. It never changes: another one takes its place.
type Watch struct {
	subjects []Subject
	prefixes []prefix
}

// prefix is a Subject's Prefix as bytes, and half of one.
type prefix struct {
	whole []byte
	half  int // the high half of the byte behind them; -1: none
}

// subjectsMost is how many subjects an app can have at a time.
const subjectsMost = 16

// With gives a watch that traces s too, in the place of what was traced with the same
// prefix, and without what is over by now. It is nil if there is nothing to trace. The
// oldest give way to those that are too many.
func (w *Watch) With(s Subject, now time.Time) *Watch {
	var all []Subject
	if w != nil {
		all = slices.Clone(w.subjects)
	}
	all = append(slices.DeleteFunc(all, func(x Subject) bool { return x.Prefix == s.Prefix }), s)
	return watchOf(all, now)
}

// At gives the watch without what is over by now: w itself if that is nothing, and nil
// if all is.
func (w *Watch) At(now time.Time) *Watch {
	if w == nil || !slices.ContainsFunc(w.subjects, func(s Subject) bool { return !now.Before(s.Until) }) {
		return w
	}
	return watchOf(w.subjects, now)
}

func watchOf(all []Subject, now time.Time) *Watch {
	w := new(Watch)
	for _, s := range all {
		if now.Before(s.Until) {
			w.subjects = append(w.subjects, s)
		}
	}
	if n := len(w.subjects); n == 0 {
		return nil
	} else if n > subjectsMost {
		w.subjects = w.subjects[n-subjectsMost:]
	}
	for _, s := range w.subjects {
		w.prefixes = append(w.prefixes, prefixOf(s.Prefix))
	}
	return w
}

func prefixOf(text string) prefix {
	p := prefix{half: -1}
	p.whole, _ = hex.DecodeString(text[:len(text)/2*2])
	if len(text)%2 == 1 {
		high, _ := hex.DecodeString(text[len(text)-1:] + "0")
		p.half = int(high[0])
	}
	return p
}

func (p prefix) of(token []byte) bool {
	if !bytes.HasPrefix(token, p.whole) {
		return false
	}
	n := len(p.whole)
	return p.half < 0 || len(token) > n && int(token[n]&0xf0) == p.half
}

// Wants reports whether a notification to the token is traced.
func (w *Watch) Wants(token []byte) bool {
	for i := range w.prefixes {
		if w.prefixes[i].of(token) {
			return true
		}
	}
	return false
}

// Subjects are what is traced.
func (w *Watch) Subjects() []Subject {
	if w == nil {
		return nil
	}
	return w.subjects
}

// Describe gives the token and the payload of a notification as a Note may have them: of
// a token in hex as much as was asked for, 8 digits at least, and never all of it.
func (w *Watch) Describe(token, payload []byte) (string, string) {
	shown, texts := 8, false
	for i, p := range w.prefixes {
		if p.of(token) {
			shown = max(shown, len(w.subjects[i].Prefix))
			texts = texts || w.subjects[i].Payloads
		}
	}
	digits := hex.EncodeToString(token)
	if !texts {
		payload = withoutTexts(payload)
	}
	return digits[:min(shown, max(0, len(digits)-1))], strings.ToValidUTF8(string(payload), "?")
}

// Most is how long a trace can be switched on for.
const Most = 24 * time.Hour

// Watched is the Watch of an app at present. It is safe for concurrent use.
type Watched struct{ atomic.Pointer[Watch] } // nil: nothing is traced

// Trace traces tokens that begin with prefix for so long from now on, or with 0 no more. It
// gives what is traced then.
func (w *Watched) Trace(prefix string, payloads bool, during time.Duration, now time.Time) ([]Subject, error) {
	prefix, err := ParsePrefix(prefix)
	if err != nil {
		return nil, err
	}
	if during < 0 || during > Most {
		return nil, fmt.Errorf("a trace is for %v at most, not for %v", Most, during)
	}
	for {
		old := w.Load()
		watch := old.With(Subject{Prefix: prefix, Payloads: payloads, Until: now.Add(during)}, now)
		if w.CompareAndSwap(old, watch) {
			return watch.Subjects(), nil
		}
	}
}

// Tick ends what has been traced for long enough.
func (w *Watched) Tick(now time.Time) {
	if old := w.Load(); old != nil {
		w.CompareAndSwap(old, old.At(now))
	}
}
