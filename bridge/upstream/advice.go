package upstream

import (
	"cmp"
	"strings"
)

// Advice is one sentence on what the operator can do about v, or empty where
// there is nothing to do. It names the topic, the key and the team, and no
// secrets.
func (q *Question) Advice(v Verdict) string {
	row := find(v.Code, v.Reason)
	if v.Reason == wordless.means {
		row = &wordless
	}
	name, other := "production", "sandbox"
	if q.Environment == other {
		name, other = other, name
	}
	d := q.Credential.Describe()
	return strings.NewReplacer(
		"{key}", d.KeyID, "{team}", d.TeamID, "{topic}", cmp.Or(q.Topic, d.Topic, "that was asked for"),
		"{environment}", name, "{other}", other,
	).Replace(row.remedy)
}
