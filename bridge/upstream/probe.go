package upstream

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"apnsbridge/bridge/h2conn"
)

// noDevice is a token as no device has one: real ones are random, or longer.
const noDevice = "bad0000000000000000000000000000000000000000000000000000000000000"

// Question is what Probe asks APNs about.
type Question struct {
	Endpoint    Endpoint
	Credential  *Credential
	Environment string // "production" or "sandbox", as Endpoint is: for what is said
	Both        bool   // the app is at home in both
	Topic       string // empty: the credential is shown only
	Scoped      bool   // the app has several keys, and the credential is one for some topics
	PushType    string
	Priority    uint8
	Payload     []byte // for which type and priority were chosen
}

// Probe asks APNs whether it takes credential and topic, without a push that
// could arrive: it sends one, to be tried once, to a device that is none.
//
// The error is a sentence for the one who configured the app. ahead is how far this
// machine's clock is ahead of APNs', 0 if that is little or APNs does not say. It
// takes as long as ctx lets it.
func Probe(ctx context.Context, q Question) (ahead time.Duration, err error) {
	to := newTarget(q.Endpoint, q.Credential)
	conn, _, err := to.open(ctx, h2conn.Config{})
	if err != nil {
		return 0, fmt.Errorf("cannot reach APNs: %w: %s", Plain(err), adviceOn(err))
	}
	defer func() {
		conn.Close()
		<-conn.Done()
	}()
	request, err := q.request(ctx)
	if err != nil {
		return 0, err
	}
	verdict, ahead, err := ask(request, conn.RoundTripper())
	var away *h2conn.GoAway
	if errors.As(err, &away) {
		if v, ok := judgeGoAway(away.Debug); ok {
			return 0, q.judge(v, to.address)
		}
	}
	if err != nil {
		return 0, fmt.Errorf("%s does not answer as APNs does: %w: is the endpoint right, and does it take the credential?",
			to.address, err)
	}
	return ahead, q.judge(verdict, to.address)
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
	if bearer := bearers.of(q.Credential, time.Now()); bearer != nil {
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

// clockTolerance is how far this machine's clock may be from APNs' without a word.
const clockTolerance = time.Minute

func ask(r *http.Request, over http.RoundTripper) (v Verdict, ahead time.Duration, err error) {
	answer, err := over.RoundTrip(r)
	if err != nil {
		return Verdict{}, 0, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, answerBytes))
	if err != nil {
		return Verdict{}, 0, err
	}
	if theirs, err := http.ParseTime(answer.Header.Get("Date")); err == nil {
		ahead = time.Since(theirs).Round(time.Second)
	}
	if ahead.Abs() < clockTolerance {
		ahead = 0
	}
	return judge(answer.StatusCode, body), ahead, nil
}

// judge reads the answer. What APNs says of the device, it says when everything
// else is found in order.
func (q *Question) judge(v Verdict, address string) error {
	switch {
	case v.Class == Accepted, v.Class == BadToken, v.Class == Gone:
		return nil
	case v.Reason == "MissingTopic" && q.Topic == "":
		return nil // the provider's certificate will name it
	}
	token, _ := hex.DecodeString(noDevice)
	return fmt.Errorf("%s answers %s", address, q.Says(v, token))
}

// adviceOn says what to do about an error of dialling.
func adviceOn(err error) string {
	var proxy *proxyError
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var lookup *net.DNSError
	switch {
	case errors.As(err, &proxy):
		return proxy.advice()
	case errors.As(err, &unknown):
		return "install the package ca-certificates, which has Apple's authority (USERTrust RSA), " +
			"or name the file with the authority that has signed its certificate as endpoint_ca, if the endpoint is your own"
	case errors.As(err, &name):
		return "correct the endpoint's name"
	case errors.As(err, &lookup):
		return "see to this machine's DNS, or correct the endpoint's name"
	case strings.Contains(err.Error(), "remote error: tls:"):
		return "it refuses the push certificate: make a new one in Apple's developer site, or use a token"
	}
	return "let this machine out to that address, or name a proxy"
}
