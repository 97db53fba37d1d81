package upstream

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/sideshow/apns2"
	"github.com/sideshow/apns2/token"

	"apnsbridge/bridge/h2conn"
)

// noDevice is a token as no device has one: real ones are random, or longer.
const noDevice = "bad0000000000000000000000000000000000000000000000000000000000000"

// Question is what Probe asks APNs about.
type Question struct {
	Endpoint    Endpoint
	Credential  *Credential
	Environment string // "production" or "sandbox", as Endpoint is: for what is said
	Topic       string // empty: the credential is shown only
	PushType    string
	Priority    uint8
	Payload     []byte // for which type and priority were chosen
}

// Probe asks APNs whether it takes credential and topic, without a push that
// could arrive: it sends one, to be tried once, to a device that is none.
//
// The error is a sentence for the one who configured the app. It takes as long
// as ctx lets it.
func Probe(ctx context.Context, q Question) error {
	to := newTarget(q.Endpoint, q.Credential)
	conn, err := to.dial(ctx, h2conn.Config{})
	if err != nil {
		return fmt.Errorf("cannot reach APNs: %w: %s", err, remedy(err))
	}
	defer func() {
		conn.Close()
		<-conn.Done()
	}()
	client := apns2.Client{Host: q.Endpoint.URL, HTTPClient: &http.Client{Transport: conn.RoundTripper()}}
	if key := q.Credential.key; key != nil {
		client.Token = &token.Token{AuthKey: key, KeyID: q.Credential.keyID, TeamID: q.Credential.teamID}
		if _, err := client.Token.Generate(); err != nil {
			return fmt.Errorf("the provider token cannot be signed: %w", err)
		}
	}
	answer, err := client.PushWithContext(ctx, q.notification())
	if err != nil {
		return fmt.Errorf("%s does not answer as APNs does: %w: is the endpoint right, and does it take the credential?", to.address, err)
	}
	return q.judge(answer, to.address)
}

// notification is what is asked.
func (q *Question) notification() *apns2.Notification {
	return &apns2.Notification{
		DeviceToken: noDevice,
		Topic:       q.Topic,
		PushType:    apns2.EPushType(q.PushType),
		Priority:    int(q.Priority),
		Expiration:  time.Unix(0, 1), // apns2 leaves second 0 itself out
		Payload:     q.Payload,
	}
}

// judge reads the answer. What APNs says of the device, it says when everything
// else is found in order.
func (q *Question) judge(answer *apns2.Response, address string) error {
	switch answer.Reason {
	case "", apns2.ReasonBadDeviceToken, apns2.ReasonDeviceTokenNotForTopic, apns2.ReasonUnregistered, apns2.ReasonExpiredToken:
		if answer.Reason != "" || answer.StatusCode == http.StatusOK {
			return nil
		}
	case apns2.ReasonMissingTopic:
		if q.Topic == "" {
			return nil // the provider's certificate will name it
		}
	}
	return fmt.Errorf("%s answers %d %s: %s", address, answer.StatusCode, answer.Reason, q.advice(answer))
}

// advice says what to do about an answer.
func (q *Question) advice(answer *apns2.Response) string {
	name, other := "production", "sandbox"
	if q.Environment == other {
		name, other = other, name
	}
	d := q.Credential.Describe()
	switch answer.Reason {
	case apns2.ReasonInvalidProviderToken, reasonUnrelatedKeyID:
		return fmt.Sprintf("the key is not one of team %s under the name %s: correct key, key_id and team_id, and see in Apple's developer site that the key is not revoked", d.TeamID, d.KeyID)
	case apns2.ReasonExpiredProviderToken:
		return "the provider token was signed a moment ago: set this machine's clock right"
	case reasonBadEnvironmentKeyID:
		return fmt.Sprintf("the key %s is for %s alone: use one for %s, or set the app's environment", d.KeyID, other, name)
	case apns2.ReasonBadCertificateEnvironment:
		return fmt.Sprintf("the push certificate is for %s alone: use one for %s, or set the app's environment", other, name)
	case apns2.ReasonBadCertificate:
		return "the push certificate is not taken: make a new one in Apple's developer site, or use a token"
	case apns2.ReasonForbidden, apns2.ReasonMissingProviderToken:
		return "the credential is not taken: see in Apple's developer site that it is a push credential and not revoked"
	case apns2.ReasonTopicDisallowed, apns2.ReasonBadTopic:
		return fmt.Sprintf("the credential is not for the topic %s: correct the app's topic, or use the credential of its team and app", q.Topic)
	case apns2.ReasonMissingTopic:
		return "name the app's topic: the push certificate is for several"
	case apns2.ReasonTooManyProviderTokenUpdates, apns2.ReasonTooManyRequests:
		return "too much was asked lately: try again in 20 minutes"
	}
	if answer.StatusCode >= http.StatusInternalServerError {
		return "it is not well: try again later"
	}
	return "this says nothing about the credential: is the endpoint APNs, and the app's push_type one for its topic?"
}

// remedy says what to do about an error of dialling.
func remedy(err error) string {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var lookup *net.DNSError
	switch {
	case errors.As(err, &unknown):
		return "name the file with the authority that has signed its certificate as endpoint_ca, if the endpoint is your own"
	case errors.As(err, &name):
		return "correct the endpoint's name"
	case errors.As(err, &lookup):
		return "see to this machine's DNS, or correct the endpoint's name"
	case strings.Contains(err.Error(), "remote error: tls:"):
		return "it refuses the push certificate: make a new one in Apple's developer site, or use a token"
	}
	return "let this machine out to that address, or name a proxy"
}
