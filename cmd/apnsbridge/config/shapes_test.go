package config

import (
	"reflect"
	"strings"
	"testing"
)

// For every key with a list, a section or nothing in place of its value, or the other way round, there is a sentence
// that people understand, or it is accepted with its usual meaning.
func TestEveryKeyInEveryShape(t *testing.T) {
	shapes := []string{"[32, 100]", "[]", "{a: 1}", "{}", "[[x]]", "[{a: [b]}]", "~", `""`, "x", "[~]", "{a: ~}"}
	sections(reflect.TypeFor[Config](), "", func(path string, fields map[string]field) {
		for key := range fields {
			at := join(path, key)
			for _, shape := range shapes {
				keys := strings.Split(at, ".")
				text := keys[len(keys)-1] + ": " + shape
				for i := len(keys) - 2; i >= 0; i-- {
					text = keys[i] + ": {" + text + "}"
				}
				_, err := parse("f", []byte(text), environment)
				if err != nil && foreign.MatchString(err.Error()) {
					t.Errorf("%s: %q uses words that only programmers understand", text, err)
				}
				if limit := strings.HasPrefix(at, "limits."); limit && (err == nil || !strings.Contains(err.Error(), key)) &&
					strings.ContainsAny(shape, "[{") {
					t.Errorf("%s: got %v, want a sentence about %s", text, err, key)
				}
			}
		}
	})
}
