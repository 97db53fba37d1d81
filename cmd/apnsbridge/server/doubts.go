package server

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"apnsbridge/bridge"
	"apnsbridge/cmd/apnsbridge/config"
	"apnsbridge/gateway/identity"
)

// The extensions that say which environments a push certificate is for: Apple, Worldwide
// Developer Relations Certification Practice Statement.
var (
	oidSandbox    = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 3, 1}
	oidProduction = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 3, 2}
)

// onlyEnvironment returns the one environment that a certificate's extensions name, "" if
// they name both or none.
func onlyEnvironment(cert *x509.Certificate) string {
	has := func(id asn1.ObjectIdentifier) bool {
		for _, e := range cert.Extensions {
			if e.Id.Equal(id) {
				return true
			}
		}
		return false
	}
	switch sandbox, production := has(oidSandbox), has(oidProduction); {
	case sandbox && !production:
		return "sandbox"
	case production && !sandbox:
		return "production"
	}
	return ""
}

var (
	tenCharacters = regexp.MustCompile(`^[A-Z0-9]{10}$`)
	keyFileName   = regexp.MustCompile(`^AuthKey_([A-Z0-9]{10})\.p8$`)
	teamPrefix    = regexp.MustCompile(`^[A-Z0-9]{10}\.`)
)

// doubtful looks for settings of an app that are possible but probably not what was meant.
func (a *Assembly) doubtful(name string, c config.App, app bridge.App) (all []warning) {
	say := func(setting, format string, args ...any) {
		setting = "apps." + name + "." + setting
		all = append(all, warning{setting: setting, text: setting + ": " + fmt.Sprintf(format, args...)})
	}
	for _, environment := range []string{"production", "sandbox"} {
		shown, setting := c.Credential.In(environment)
		if environment == "sandbox" && !c.Credential.Split() {
			break // the same as in production
		}
		for i, token := range shown.Token {
			at := setting + ".token"
			if len(shown.Token) > 1 {
				at = fmt.Sprintf("%s[%d]", at, i)
			}
			doubtfulToken(token, func(key, format string, args ...any) { say(at+"."+key, format, args...) })
		}
	}
	switch topic := c.Topic; {
	case topic == config.TopicFromCertificate:
	case teamPrefix.MatchString(topic):
		say("topic", "%s begins with a team's identifier, which is not part of a topic: %s", config.Clip(topic),
			config.Clip(topic[11:]))
	case !strings.Contains(topic, "."):
		say("topic", "%q has no dot: a topic is the app's whole bundle identifier, like com.example.mail",
			config.Clip(topic))
	}
	a.doubtfulKinds(c, app, say)
	if e := c.Endpoint; c.Environment == "by-listener" && e.Production != "" && e.Production == e.Sandbox {
		say("endpoint", "both environments go to %s: that is right for a simulator only", config.Clip(e.Production))
	}
	return all
}

// doubtfulToken looks at the key ID, the team ID and the file name of a key.
func doubtfulToken(token config.Token, say func(key, format string, args ...any)) {
	for _, id := range []struct{ key, value, where string }{
		{"key_id", token.KeyID, "the ten characters in the name of the .p8 as Apple gives it out"},
		{"team_id", token.TeamID, "the ten characters on Apple's membership page"},
	} {
		if !tenCharacters.MatchString(id.value) {
			say(id.key, "%q is not ten capital letters and digits: it is %s", config.Clip(id.value), id.where)
		}
	}
	if m := keyFileName.FindStringSubmatch(filepath.Base(token.Key)); m != nil && m[1] != token.KeyID {
		swapped := ""
		if m[1] == token.TeamID {
			swapped = ", which is given as team_id: exchange the two"
		}
		say("key_id", "it is %s, and the name of the key says %s%s", config.Clip(token.KeyID), m[1], swapped)
	}
	if token.KeyID == token.TeamID {
		say("team_id", "it is the key_id once more: it is the ten characters on Apple's membership page")
	}
}

// tokenTopics are suffixes of topics that a certificate is for only if Apple lists them in
// it.
var tokenTopics = []string{".voip-ptt", ".location-query", ".push-type.liveactivity", ".push-type.widgets",
	".push-type.controls"}

// doubtfulKinds checks that the app's credentials are of the kind that APNs accepts for its
// topic and environments.
func (a *Assembly) doubtfulKinds(c config.App, app bridge.App, say func(setting, format string, args ...any)) {
	for _, shown := range app.Credentials {
		leaf := leafOf(shown.Credential)
		if leaf == nil {
			if strings.HasPrefix(app.Topic, "com.apple.mgmt.") && shown.Describe().Kind == "token" {
				say("credential", "%s is an MDM topic, which takes the MDM push certificate and never a token: name that "+
					"under certificate", config.Clip(app.Topic))
			}
			continue
		}
		only := onlyEnvironment(leaf)
		switch {
		case only == "" || c.Environment == only:
		case !c.Credential.Split():
			say("environment", "it is %s, and the push certificate is for %s only: correct one of them",
				c.Environment, only)
		case shown.Environment.String() != only:
			say("credential."+shown.Environment.String(), "the push certificate is for %s only: name another", only)
		}
		_, listed := identity.Topics(leaf)
		for _, end := range tokenTopics {
			if strings.HasSuffix(app.Topic, end) && !slices.Contains(listed, app.Topic) {
				say("credential", "the push certificate does not list the topic %s, and APNs may refuse it: use a token",
					config.Clip(app.Topic))
			}
		}
	}
}
