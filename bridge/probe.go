package bridge

import (
	"context"
	"time"

	"apnsbridge/bridge/pushtype"
	"apnsbridge/bridge/upstream"
)

// Probe asks APNs whether it takes the app's credential and topic, without a
// push that could arrive. env is Production or Sandbox. Without a topic of its
// own the app shows its credential only.
//
// The error is a sentence for the one who configured the app. It takes as long
// as ctx lets it.
func Probe(ctx context.Context, app App, env Environment) error {
	if err := app.check(time.Now()); err != nil {
		return err
	}
	q := upstream.Question{
		Endpoint: app.endpoint(env), Credential: app.Credential, Environment: "production",
		Topic: app.Topic, Payload: []byte(`{"aps":{}}`),
	}
	if env == Sandbox {
		q.Environment = "sandbox"
	}
	q.PushType, q.Priority = pushtype.NewRule(app.PushType, app.Topic).Choose(q.Payload, 10)
	return upstream.Probe(ctx, q)
}
