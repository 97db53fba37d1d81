package settings

import (
	"context"
	"time"

	"apnsbridge/bridge/pushtype"
	"apnsbridge/bridge/upstream"
)

// Question is what Probe asks APNs: whether it takes what the app shows in an
// environment, Production or Sandbox, for a topic. Without a topic the credential is
// shown only.
type Question struct {
	Environment Environment
	Topic       string
	Credential  *Credential
}

// Questions are all that there is to ask for an app: those for its topic, or, where
// topics come from providers, for each that a key is for.
func (a App) Questions() (all []Question) {
	for _, e := range a.Environments() {
		if a.Topic != "" {
			all = append(all, Question{e, a.Topic, a.CredentialFor(e, a.Topic)})
			continue
		}
		for i := range a.Credentials {
			c := &a.Credentials[i]
			switch {
			case !c.Serves(e):
			case len(c.Topics) == 0:
				all = append(all, Question{e, "", c})
			}
			for _, topic := range c.Topics {
				if c.Serves(e) {
					all = append(all, Question{e, topic, c})
				}
			}
		}
	}
	return all
}

// Probe asks APNs a question of the app's, without a push that could arrive.
//
// The error is a sentence for the one who configured the app. ahead is how far this
// machine's clock is ahead of APNs', 0 if that is little or APNs does not say. It
// takes as long as ctx lets it.
func Probe(ctx context.Context, app App, ask Question) (ahead time.Duration, err error) {
	if err := app.Check(time.Now()); err != nil {
		return 0, err
	}
	q := app.about(ask.Environment, ask.Topic, ask.Credential)
	q.Endpoint, q.Payload = app.EndpointFor(ask.Environment), []byte(`{"aps":{}}`)
	q.PushType, q.Priority = pushtype.NewRule(app.PushType, ask.Topic).Choose(q.Payload, 10)
	return upstream.Probe(ctx, q)
}

// Says is the sentence on what APNs has answered about a topic, and about the device if
// token is not nil.
func (a App) Says(e Environment, topic string, token []byte, v upstream.Verdict) string {
	q := a.about(e, topic, a.CredentialFor(e, topic))
	return q.Says(v, token)
}

// about is what APNs is asked, for what is said on its answer.
func (a App) about(e Environment, topic string, c *Credential) upstream.Question {
	return upstream.Question{Credential: c.Credential, Environment: e.String(), Both: a.Environment == ByListener,
		Topic: topic, Scoped: c.Topics != nil}
}
