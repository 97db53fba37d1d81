package settings

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"apnsbridge/bridge/upstream"
)

// Credential is what an app shows to APNs, in an environment and for some topics.
// Keys that Apple gives out since 2025 are for Sandbox or Production, or for some
// topics only.
type Credential struct {
	*upstream.Credential
	Environment Environment // ByListener: both
	Topics      []string    // with what APNs knows them by behind a dot, as .voip; none: those that no other has
}

// Serves reports whether the credential is for an environment.
func (c Credential) Serves(e Environment) bool {
	return c.Environment == ByListener || c.Environment == e
}

// Covers reports whether the credential is for the topic.
func (c Credential) Covers(topic string) bool {
	return c.Topics == nil || slices.ContainsFunc(c.Topics, func(own string) bool { return under(own, topic) })
}

// under reports whether topic is own, or what APNs knows an app's other pushes by.
func under(own, topic string) bool {
	rest, found := strings.CutPrefix(topic, own)
	return found && (rest == "" || rest[0] == '.')
}

// CredentialFor is what the app shows to APNs for a topic: nil if it has none for
// the environment, which is Production or Sandbox. For a topic that is no key's
// own it is the key for all others, or else any: APNs says then what is wrong.
func (a App) CredentialFor(e Environment, topic string) *Credential {
	if i := a.CredentialIndex(e, topic); i >= 0 {
		return &a.Credentials[i]
	}
	return nil
}

// CredentialIndex is the place of CredentialFor among Credentials, -1 if there is none.
func (a App) CredentialIndex(e Environment, topic string) (best int) {
	best, closest := -1, -1
	for i, c := range a.Credentials {
		if !c.Serves(e) {
			continue
		}
		if best < 0 || c.Topics == nil && closest < 0 {
			best = i
		}
		for _, own := range c.Topics {
			if len(own) > closest && under(own, topic) {
				best, closest = i, len(own)
			}
		}
	}
	return best
}

func (a App) checkCredentials(now time.Time) error {
	if len(a.Credentials) == 0 {
		return fmt.Errorf("app %s has no credential", a.Name)
	}
	for _, e := range a.Environments() {
		if a.CredentialFor(e, a.Topic) == nil {
			return fmt.Errorf("app %s has no credential for %s", a.Name, e)
		}
	}
	for _, c := range a.Credentials {
		if err := c.Check(now); err != nil {
			return fmt.Errorf("app %s: %w", a.Name, err)
		}
	}
	return nil
}

// sameCredentials reports whether a and b show the same to APNs.
func sameCredentials(a, b []Credential) bool {
	return slices.EqualFunc(a, b, func(a, b Credential) bool {
		return a.Environment == b.Environment && slices.Equal(a.Topics, b.Topics) && a.Equal(b.Credential)
	})
}
