package upstream

import (
	"cmp"
	"fmt"
	"strings"
)

// Says is what APNs has answered, about what, and what the operator can do about
// it, in the words that the log, check, /readyz and the page share. token is of the
// device that was asked for, if one was: its first four bytes are enough to find it.
func (q *Question) Says(v Verdict, token []byte) string {
	var b strings.Builder
	if v.Code != 0 { // otherwise it was said at a connection's end
		fmt.Fprintf(&b, "%d ", v.Code)
	}
	b.WriteString(clip(v.Reason))
	if advice := q.Advice(v); advice != "" {
		b.WriteString(": " + advice)
	}
	b.WriteString(" (" + q.Environment)
	if q.Topic != "" {
		b.WriteString(", topic " + clip(q.Topic))
	}
	if len(token) > 0 {
		fmt.Fprintf(&b, ", device %x…", token[:min(len(token), tokenPrefix)])
	}
	b.WriteString(")")
	return b.String()
}

// tokenPrefix is how much of a device token is shown, in bytes.
const tokenPrefix = 4

// Refusal is the verdict whose Reason is word, as far as the tables know it.
func Refusal(word string) Verdict {
	for i := range answers {
		if a := &answers[i]; a.reason == word && word != "" {
			return Verdict{Class: a.class, Status: a.status, Code: a.code, Reason: word}
		}
	}
	return Verdict{Class: Unknown, Reason: word}
}

// Advice is one sentence on what the operator can do about v, or empty where
// there is nothing to do. It names the topic, the key and the team, and no
// secrets.
func (q *Question) Advice(v Verdict) string {
	row := find(v.Code, v.Reason)
	if v.Reason == wordless.means {
		row = &wordless
	}
	d := q.Credential.Describe()
	topic := cmp.Or(q.Topic, d.Topic, "that was asked for")
	text := strings.NewReplacer("{instead}", q.instead(), "{for topic}", q.forTopic(d, topic)).Replace(row.remedy)
	name, other := "production", "sandbox"
	if q.Environment == other {
		name, other = other, name
	}
	return strings.NewReplacer(
		"{key}", d.KeyID, "{team}", d.TeamID, "{topic}", topic, "{environment}", name, "{other}", other,
	).Replace(text)
}

// instead is what to use for a credential of the other environment.
func (q *Question) instead() string {
	if q.Both {
		return insteadBoth
	}
	return insteadOne
}

// forTopic is what to do where a credential is not for the topic.
func (q *Question) forTopic(d Description, topic string) string {
	switch {
	case d.Kind == "certificate":
		return topicOfPair
	case strings.HasPrefix(topic, "com.apple.mgmt."):
		return topicOfDevice
	case q.Scoped:
		return topicOfKeys
	}
	return topicOfKey
}

// inVain is what to do where connections end in vain with v: what its word asks
// for, unless that is to wait.
func (u *Upstream) inVain(v Verdict) string {
	if row := find(v.Code, v.Reason); row.class != Unprocessed || row.remedy == remedyLater {
		return remedyVain
	}
	return (&Question{Credential: u.target.shown}).Advice(v)
}
