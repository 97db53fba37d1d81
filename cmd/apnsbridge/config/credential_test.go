package config

import (
	"slices"
	"strings"
	"testing"
)

// One credential is for both environments, or each environment has its own, with keys by
// topic.
func TestCredentials(t *testing.T) {
	text := strings.Replace(minimal, theToken, `production:
        token:
          - {key: a.p8, key_id: AAAAAAAAAA, team_id: DEF123GHIJ, topics: [com.example.mail, com.example.chat]}
          - {key: b.p8, key_id: BBBBBBBBBB, team_id: DEF123GHIJ}
      sandbox:
        certificate: {file: push.p12}`, 1)
	c, err := parse("/etc/apnsbridge.yaml", []byte(text), environment)
	if err != nil {
		t.Fatal(err)
	}
	credentials := c.Apps["mail"].Credential
	production, at := credentials.In("production")
	if at != "credential.production" || len(production.Token) != 2 || production.Token[1].KeyID != "BBBBBBBBBB" ||
		!slices.Equal(production.Token[0].Topics, Strings{"com.example.mail", "com.example.chat"}) {
		t.Errorf("production has %+v, from the setting %s", production, at)
	}
	if sandbox, at := credentials.In("sandbox"); at != "credential.sandbox" || sandbox.Certificate.File != "push.p12" {
		t.Errorf("sandbox has %+v, from the setting %s", sandbox, at)
	}
	if got, want := credentials.Files(), []string{"a.p8", "b.p8", "push.p12"}; !slices.Equal(got, want) {
		t.Errorf("got the files %v, want %v", got, want)
	}
	c, err = parse("/etc/apnsbridge.yaml", []byte(minimal), environment)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range environments {
		if shown, at := c.Apps["mail"].Credential.In(name); at != "credential" || len(shown.Token) != 1 {
			t.Errorf("%s has %+v, from the setting %s", name, shown, at)
		}
	}
}

func TestCredentialProblems(t *testing.T) {
	const key = "{key: a.p8, key_id: AAAAAAAAAA, team_id: DEF123GHIJ}"
	with := func(topics string) string { return strings.Replace(key, "}", ", topics: "+topics+"}", 1) }
	for _, tt := range []struct{ name, credential, environment, want string }{
		{"one missing", "production: {token: " + key + "}", "sandbox",
			"there is no credential for sandbox: add one under credential.sandbox"},
		{"one of two missing", "sandbox: {token: " + key + "}", "by-listener",
			"there is no credential for production: add one under credential.production"},
		{"both forms", "token: " + key + "\n      sandbox: {token: " + key + "}", "sandbox",
			"put all under production and sandbox"},
		{"empty", "sandbox: {}", "sandbox", "there is no credential for sandbox"},
		{"two kinds", "sandbox: {token: " + key + ", certificate: {file: b}}", "sandbox", "two credentials"},
		{"two for all", "token: [" + key + ", " + key + "]", "production", "two keys are for all topics"},
		{"the same topic", "token: [" + with("[a.b, a.c]") + ", " + with("a.b") + "]", "production", "two keys are for a.b"},
		{"no topic", "token: " + with("[]"), "production", "the list is empty"},
		{"a pattern", "token: " + with("'a.*'"), "production", "is a pattern"},
		{"from-certificate", "token: " + with("from-certificate"), "production", "is no topic"},
		{"no key", "token: [" + key + ", {key_id: BBBBBBBBBB, team_id: DEF123GHIJ, topics: [a.b]}]", "production",
			"apps.mail.credential.token[1].key is missing"},
		{"too many", "token: [" + strings.Repeat(key+", ", mostTokens) + key + "]", "production", "an app can have 100"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Replace(minimal, theToken, tt.credential, 1)
			text = strings.Replace(text, "    credential:", "    environment: "+tt.environment+"\n    credential:", 1)
			_, err := parse("f", []byte(text), environment)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one sentence with %q", err, tt.want)
			}
		})
	}
}
