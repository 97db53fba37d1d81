package main

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"apnsbridge/bridge/upstream"
	"apnsbridge/cmd/apnsbridge/config"
	"apnsbridge/gateway/identity"
)

// credential reads what the app shows to APNs, and compares it with what the app
// is said to be.
func (a *assembly) credential(c config.App) (*upstream.Credential, error) {
	file := a.config.Path(c.Credential.File())
	var text []byte
	var err error
	if file != "" {
		text, err = readSmall(file)
	} else { // as a container gets it in a variable
		file, text = "key", []byte(c.Credential.Token.Key)
	}
	if err != nil {
		return nil, err
	}
	credential, err := openPatiently(func() (*upstream.Credential, error) { return open(text, c) })
	if err == nil {
		err = credential.Check(a.now())
	}
	if leaf := leafOf(credential); err == nil && leaf != nil {
		err = serves(leaf, c.Topic)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return credential, nil
}

// open makes the app's credential of the text of its file.
func open(text []byte, c config.App) (*upstream.Credential, error) {
	if token := c.Credential.Token; token != nil {
		return upstream.NewTokenCredential(text, token.KeyID, token.TeamID)
	}
	return upstream.ChooseCertificateCredential(text, c.Credential.Certificate.Password,
		func(leaf *x509.Certificate) bool {
			return serves(leaf, c.Topic) == nil
		})
}

// openPatience is for the password of one file. What of its iterations is itself
// encrypted is seen by nobody before.
const openPatience = 10 * time.Second

// openPatiently gives up after openPatience. What goes on then ends by itself.
func openPatiently(open func() (*upstream.Credential, error)) (*upstream.Credential, error) {
	type opened struct {
		credential *upstream.Credential
		err        error
	}
	done := make(chan opened, 1)
	go func() {
		credential, err := open()
		done <- opened{credential, err}
	}()
	patience := time.NewTimer(openPatience)
	defer patience.Stop()
	select {
	case o := <-done:
		return o.credential, o.err
	case <-patience.C:
		return nil, fmt.Errorf("the file takes longer than %v to open: export it anew, with the number of iterations "+
			"that its program sets by itself", openPatience)
	}
}

func leafOf(c *upstream.Credential) *x509.Certificate {
	if c == nil {
		return nil
	}
	return c.Leaf()
}

// otherKinds are Apple's certificates that are for other things than pushes, by
// how their common names begin.
var otherKinds = []string{"iPhone Distribution", "iPhone Developer", "Apple Distribution",
	"Apple Development: ", "Mac Developer", "Developer ID",
	"3rd Party Mac Developer", "Apple Worldwide Developer Relations", "Merchant ID", "Apple Pay"}

// furtherTopics are what stands behind a bundle identifier in the topics that come
// with it: Apple lists them in newer certificates, not in all.
var furtherTopics = []string{"voip", "voip-ptt", "complication", "pushkit.fileprovider", "location-query"}

// comesWith reports whether topic is one that comes with the app's own.
func comesWith(topic, app string) bool {
	further, ok := strings.CutPrefix(topic, app+".")
	return ok && app != "" && (slices.Contains(furtherTopics, further) || strings.HasPrefix(further, "push-type."))
}

// serves says why a push certificate is not for a topic, nil if it is.
func serves(leaf *x509.Certificate, topic string) error {
	for _, kind := range otherKinds {
		if strings.HasPrefix(leaf.Subject.CommonName, kind) {
			return fmt.Errorf("the certificate %q is not for pushes: make an Apple Push Services certificate for %s "+
				"in Apple's developer site",
				config.Clip(leaf.Subject.CommonName), topic)
		}
	}
	first, further := identity.Topics(leaf)
	switch {
	case first == "" && len(further) == 0:
		return fmt.Errorf("the certificate %q names no topic, so it is no push certificate: "+
			"make an Apple Push Services certificate for %s in Apple's developer site",
			config.Clip(leaf.Subject.CommonName), topic)
	case topic == config.TopicFromCertificate, topic == first, slices.Contains(further, topic), comesWith(topic, first):
		return nil
	}
	return fmt.Errorf("the push certificate is for %s, and the app's topic is %s: correct the topic, or name "+
		"the certificate for it", first, topic)
}

// Apple, Worldwide Developer Relations Certification Practice Statement: which
// environments a push certificate is for.
var (
	oidSandbox    = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 3, 1}
	oidProduction = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 6, 3, 2}
)

// onlyEnvironment is the one environment that a certificate's extensions name,
// "" if they name both or none.
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

// doubtful looks for what may be meant, and hardly is, in an app's settings.
func (a *assembly) doubtful(name string, c config.App, credential *upstream.Credential) (all []warning) {
	say := func(setting, format string, args ...any) {
		all = append(all, warning{setting: "apps." + name + "." + setting, text: "apps." + name + "." + setting +
			": " + fmt.Sprintf(format, args...)})
	}
	if token := c.Credential.Token; token != nil {
		for _, id := range []struct{ key, value, where string }{
			{"key_id", token.KeyID, "the ten characters in the name of the .p8 as Apple gives it out"},
			{"team_id", token.TeamID, "the ten characters on Apple's membership page"},
		} {
			if !tenCharacters.MatchString(id.value) {
				say("credential.token."+id.key, "%q is not ten capital letters and digits: it is %s",
					config.Clip(id.value), id.where)
			}
		}
		if m := keyFileName.FindStringSubmatch(filepath.Base(token.Key)); m != nil && m[1] != token.KeyID {
			swapped := ""
			if m[1] == token.TeamID {
				swapped = ", which is given as team_id: exchange the two"
			}
			say("credential.token.key_id", "it is %s, and the name of the key says %s%s", config.Clip(token.KeyID),
				m[1], swapped)
		}
		if token.KeyID == token.TeamID {
			say("credential.token.team_id", "it is the key_id once more: it is the ten characters on Apple's "+
				"membership page")
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
	if leaf := leafOf(credential); leaf != nil {
		if only := onlyEnvironment(leaf); only != "" && c.Environment != only {
			say("environment", "it is %s, and the push certificate is for %s only: correct one of them",
				c.Environment, only)
		}
	}
	if e := c.Endpoint; c.Environment == "by-listener" && e.Production != "" && e.Production == e.Sandbox {
		say("endpoint", "both environments go to %s: that is right for a simulator only", config.Clip(e.Production))
	}
	return all
}
