package upstream

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sideshow/apns2"

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
	request, err := q.request(ctx)
	if err != nil {
		return err
	}
	verdict, err := ask(request, conn.RoundTripper())
	if err != nil {
		return fmt.Errorf("%s does not answer as APNs does: %w: is the endpoint right, and does it take the credential?", to.address, err)
	}
	return q.judge(verdict, to.address)
}

// request is what is asked, with the JWT that pushes have too.
func (q *Question) request(ctx context.Context) (*http.Request, error) {
	url := q.Endpoint.URL + "/3/device/" + noDevice
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(q.Payload))
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{
		"apns-topic": q.Topic, "apns-push-type": q.PushType,
		"apns-priority": strconv.Itoa(int(q.Priority)), "apns-expiration": "0",
	} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	if bearer := bearerOf(q.Credential, time.Now()); bearer != nil {
		value, err := bearer.current(time.Now())
		if err != nil {
			return nil, fmt.Errorf("the provider token cannot be signed: %w", err)
		}
		r.Header.Set("authorization", value)
	}
	return r, nil
}

// answerBytes bounds what is read of an answer. APNs' own has under a hundred.
const answerBytes = 16 << 10

func ask(r *http.Request, over http.RoundTripper) (Verdict, error) {
	answer, err := over.RoundTrip(r)
	if err != nil {
		return Verdict{}, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, answerBytes))
	if err != nil {
		return Verdict{}, err
	}
	return judge(answer.StatusCode, body), nil
}

// judge reads the answer. What APNs says of the device, it says when everything
// else is found in order.
func (q *Question) judge(v Verdict, address string) error {
	switch {
	case v.Class == Accepted, v.Class == BadToken, v.Class == Gone:
		return nil
	case v.Reason == apns2.ReasonMissingTopic && q.Topic == "":
		return nil // the provider's certificate will name it
	}
	return fmt.Errorf("%s answers %d %s: %s", address, v.Code, v.Reason, q.advice(v))
}

// advice says what to do about an answer.
func (q *Question) advice(v Verdict) string {
	name, other := "production", "sandbox"
	if q.Environment == other {
		name, other = other, name
	}
	d := q.Credential.Describe()
	switch v.Reason {
	case apns2.ReasonInvalidProviderToken, reasonUnrelatedKeyID:
		return fmt.Sprintf("the key is not one of team %s under the name %s: correct key, key_id and team_id, and see in Apple's developer site that the key is not revoked", d.TeamID, d.KeyID)
	case apns2.ReasonExpiredProviderToken:
		return "the provider token is of this half hour: set this machine's clock right"
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
	if v.Code >= http.StatusInternalServerError {
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
