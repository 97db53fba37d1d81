package server

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"apnsbridge/bridge"
	"apnsbridge/bridge/upstream"
	"apnsbridge/cmd/apnsbridge/config"
	"apnsbridge/cmd/apnsbridge/smallfile"
	"apnsbridge/gateway/identity"
)

// credentials reads the app's credentials for the environments that it is used in. If one
// cannot be used, or its endpoint cannot be verified, it notes why in a.held:
// notifications for that credential wait.
func (a *Assembly) credentials(name string, c config.App, app *bridge.App, unverified error) {
	faults := []error{unverified}
	add := func(e bridge.Environment, environment string) {
		shown, setting := c.Credential.In(environment)
		for _, one := range each(shown) {
			credential, err := a.credential(one, c.Topic)
			if err != nil {
				err = fmt.Errorf("apps.%s.%s: %w", name, setting+one.setting, err)
				faults = append(faults, err)
			}
			if err = errors.Join(unverified, err); err != nil {
				credential = upstream.Unusable(err)
			}
			app.Credentials = append(app.Credentials, bridge.Credential{
				Credential: credential, Environment: e, Topics: one.topics,
			})
		}
	}
	switch {
	case !c.Credential.Split():
		add(bridge.ByListener, "")
	case app.Environment == bridge.ByListener:
		add(bridge.Production, "production")
		add(bridge.Sandbox, "sandbox")
	default:
		add(app.Environment, c.Environment)
	}
	faults = append(faults, uncovered(name, c, *app))
	if err := errors.Join(faults...); err != nil {
		a.held[name] = err
	}
}

// shown is one credential that an app shows to APNs: a token's key or a certificate.
type shown struct {
	token       *config.Token // nil: certificate
	certificate *config.Certificate
	topics      []string // that this one of several tokens is for
	setting     string   // suffix of the credential's setting, if there are several tokens
}

// CheckCredentials reads the credentials of all apps. The error names an app whose
// credential cannot be used.
func CheckCredentials(c *config.Config) error {
	a := &Assembly{config: c, now: time.Now}
	for name, app := range c.Apps {
		for _, one := range each(app.Credential.Credential) {
			if _, err := a.credential(one, app.Topic); err != nil {
				return fmt.Errorf("apps.%s.credential: %w", name, err)
			}
		}
	}
	return nil
}

// each returns the parts of a credential.
func each(c config.Credential) (all []shown) {
	for i, token := range c.Token {
		one := shown{token: &token, topics: token.Topics}
		if len(c.Token) > 1 {
			one.setting = fmt.Sprintf(".token[%d]", i)
		}
		all = append(all, one)
	}
	if c.Certificate != nil {
		all = append(all, shown{certificate: c.Certificate})
	}
	return all
}

// uncovered returns an error if none of the app's keys is for its topic.
func uncovered(name string, c config.App, app bridge.App) error {
	if app.Topic == "" {
		return nil
	}
	for _, q := range app.Questions() {
		if q.Credential != nil && q.Credential.Topics != nil && !q.Credential.Covers(app.Topic) {
			return fmt.Errorf("apps.%s.credential: no key for %s is for the topic %s: name it under topics of the key "+
				"that is for it", name, q.Environment, config.Clip(app.Topic))
		}
	}
	return nil
}

// isServed reports whether any credential of the app can be used.
func isServed(app bridge.App) bool {
	return slices.ContainsFunc(app.Credentials, func(c bridge.Credential) bool { return c.Unusable() == nil })
}

// credential reads a credential, and checks it against the app's topic.
func (a *Assembly) credential(one shown, topic string) (*upstream.Credential, error) {
	var text []byte
	var err error
	file := "key"
	switch {
	case one.certificate != nil:
		file = a.config.Path(one.certificate.File)
		text, err = smallfile.Read(file)
	case config.IsKeyText(one.token.Key): // as containers often get it, in a variable
		text = []byte(one.token.Key)
	default:
		file = a.config.Path(one.token.Key)
		text, err = smallfile.Read(file)
	}
	if err != nil {
		return nil, err
	}
	credential, err := openPatiently(func() (*upstream.Credential, error) {
		return open(text, one, topic, a.now())
	})
	if err == nil {
		err = credential.Check(a.now())
	}
	if leaf := leafOf(credential); err == nil && leaf != nil {
		err = ServesTopic(leaf, topic)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return credential, nil
}

// open makes a credential from the text of its file.
func open(text []byte, one shown, topic string, now time.Time) (*upstream.Credential, error) {
	if token := one.token; token != nil {
		return upstream.NewTokenCredential(text, token.KeyID, token.TeamID)
	}
	return upstream.NewCertificateCredential(text, one.certificate.Password, now, func(leaf *x509.Certificate) bool {
		return ServesTopic(leaf, topic) == nil
	})
}

// openPatience is how long it may take to open one file with its password. The number of
// iterations may be stored encrypted itself, so it cannot be checked first.
const openPatience = 10 * time.Second

// openPatiently calls open and gives up after openPatience; open then goes on until it
// ends by itself.
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

// otherKinds are the beginnings of the common names of Apple's certificates that are not
// for pushes.
var otherKinds = []string{"iPhone Distribution", "iPhone Developer", "Apple Distribution",
	"Apple Development: ", "Mac Developer", "Developer ID",
	"3rd Party Mac Developer", "Apple Worldwide Developer Relations", "Merchant ID", "Apple Pay"}

// furtherTopics are the suffixes of topics that come with a bundle identifier. Apple lists
// those topics in newer certificates only.
var furtherTopics = []string{"voip", "voip-ptt", "complication", "pushkit.fileprovider", "location-query"}

// comesWith reports whether topic is one that comes with the topic app.
func comesWith(topic, app string) bool {
	further, ok := strings.CutPrefix(topic, app+".")
	return ok && app != "" && (slices.Contains(furtherTopics, further) || strings.HasPrefix(further, "push-type."))
}

// ServesTopic returns why a push certificate is not for a topic, nil if it is.
func ServesTopic(leaf *x509.Certificate, topic string) error {
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
