package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// A suggestion is a word that may have been meant, not just the most similar of all.
func TestSuggestions(t *testing.T) {
	for key, want := range map[string]string{
		"enviroment": "did you mean environment?", "env": "did you mean environment?", "Topic": "did you mean topic?",
		"clints": "did you mean clients?", "client": "did you mean clients?", "dryrun": "did you mean dry_run?",
		"endpoint-ca": "did you mean endpoint_ca?", "endpoint_certificate": "did you mean endpoint?",
		"bad_token": "did you mean on_bad_token?", "cred": "did you mean credential?",
		"prod": "correct its name", "pin": "correct its name", "any1": "did you mean any, in another section?",
		"xyz": "correct its name", strings.Repeat("x", 65): "correct its name", strings.Repeat("x", 500): "correct its name",
		"on": "correct its name", "port": "correct its name", "p12": "correct its name", "sha1": "correct its name",
	} {
		if got := unknownKey("apps.mail", key, reflect.TypeFor[App]()); !strings.HasSuffix(got, want) &&
			!strings.Contains(got, ": "+want) {
			t.Errorf("%.20s: got %q, want %q", key, got, want)
		}
	}
	words := slices.Collect(maps.Keys(fieldsOf(reflect.TypeFor[Limits]())))
	for _, word := range words {
		if got := nearest(word+"s", words); got != word && got != word+"s" {
			t.Errorf("%ss: got %s", word, got)
		}
	}
}
