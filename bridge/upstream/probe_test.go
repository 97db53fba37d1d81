package upstream

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/gateway/devpki"
)

func question(t *testing.T, sim *apnssim.Simulator) Question {
	return Question{
		Endpoint: endpoint(sim), Credential: tokenCredential(t), Environment: "production",
		Topic: topic, PushType: "alert", Priority: 10, Payload: []byte(`{"aps":{}}`),
	}
}

// What APNs thinks of a credential and a topic comes back as a sentence that says
// what to do, and nothing is ever pushed to a device.
func TestProbe(t *testing.T) {
	key := func(change func(*apnssim.Key)) []apnssim.Key {
		k := apnssim.Key{KeyID: "ABC123DEFG", TeamID: "DEF123GHIJ", PEM: string(pki().TokenKey)}
		change(&k)
		return []apnssim.Key{k}
	}
	same := func(*apnssim.Key) {}
	certificate, err := certificateCredential(append(pki().Client.CertPEM, pki().Client.KeyPEM...), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name     string
		scenario apnssim.Scenario
		ask      Question // what differs
		want     string   // "": all is well
	}{
		{"good", apnssim.Scenario{Keys: key(same), Topics: []string{topic}}, Question{}, ""},
		{"good in the sandbox", apnssim.Scenario{Keys: key(same), Environment: "sandbox"}, Question{Environment: "sandbox"}, ""},
		{"good certificate", apnssim.Scenario{Topics: []string{topic}}, Question{Credential: certificate}, ""},
		{"voip", apnssim.Scenario{}, Question{Topic: topic + ".voip", PushType: "voip"}, ""},
		{"background", apnssim.Scenario{}, Question{Topic: "pass.com.example.card", PushType: "background", Priority: 5}, ""},
		{"no topic of its own", apnssim.Scenario{Keys: key(same)}, Question{Topic: "-"}, ""},
		{"whatever is accepted", apnssim.Scenario{Reasons: []apnssim.Rule{{Status: 200}}}, Question{}, ""},
		{"another key id", apnssim.Scenario{Keys: key(func(k *apnssim.Key) { k.KeyID = "OTHER67890" })}, Question{},
			"403 InvalidProviderToken: the key is not one of team DEF123GHIJ under the name ABC123DEFG: correct key, key_id and team_id"},
		{"a key of the sandbox", apnssim.Scenario{Environment: "production", Keys: key(func(k *apnssim.Key) { k.Environment = "sandbox" })}, Question{},
			"403 BadEnvironmentKeyInToken: the key ABC123DEFG is for sandbox alone: use one for production, or set the app's environment"},
		{"another topic", apnssim.Scenario{Topics: []string{"com.example.other"}}, Question{},
			"400 TopicDisallowed: the credential is not for the topic com.example.demo: correct the app's topic"},
		{"too often", apnssim.Scenario{Reasons: []apnssim.Rule{{Reason: apnssim.TooManyProviderTokenUpdates}}}, Question{}, "429 TooManyProviderTokenUpdates: too much was asked lately: wait 20 minutes"},
		{"an outage", apnssim.Scenario{Outage: &apnssim.Outage{}}, Question{}, "503 ServiceUnavailable: wait, and see Apple's system status"},
		{"words that are not known", apnssim.Scenario{Reasons: []apnssim.Rule{{Status: 418, Reason: "Teapot"}}}, Question{}, "418 Teapot: this says nothing about the credential"},
		{"no words", apnssim.Scenario{Reasons: []apnssim.Rule{{Status: 404}}}, Question{}, "404 an answer without a reason: this says nothing about the credential"},
		{"no connection", apnssim.Scenario{Outage: &apnssim.Outage{Refuse: true}}, Question{}, "cannot reach APNs"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sim := startSim(t, tt.scenario)
			q := question(t, sim)
			q.Credential = cmp.Or(tt.ask.Credential, q.Credential)
			q.Environment = cmp.Or(tt.ask.Environment, q.Environment)
			q.PushType, q.Priority = cmp.Or(tt.ask.PushType, q.PushType), cmp.Or(tt.ask.Priority, q.Priority)
			q.Topic = strings.Trim(cmp.Or(tt.ask.Topic, q.Topic), "-")
			_, err := Probe(within(t), q)
			if (err == nil) != (tt.want == "") || err != nil &&
				(!strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n")) {
				t.Errorf("got %v, want one line with %q", err, tt.want)
			}
			for _, p := range sim.Received(0).Pushes {
				if p.Token != noDevice || p.Expiration == nil || *p.Expiration != 0 {
					t.Errorf("the simulator got %+v, want a push to nobody that expires at once", p)
				}
			}
			if got := sim.Stats().Received; got > 1 {
				t.Errorf("the simulator got %d pushes, want one at most", got)
			}
		})
	}
}

// APNs may answer with a GOAWAY when it has trouble with a certificate.
func TestProbeGoAway(t *testing.T) {
	s := startServer(t, nil, func(c *serverConn, stream uint32) bool {
		c.goAway("BadCertificateEnvironment")
		return true
	})
	q := question(t, startSim(t, apnssim.Scenario{}))
	q.Endpoint = s.endpoint()
	_, err := Probe(within(t), q)
	const want = "403 BadCertificateEnvironment: the push certificate is for sandbox alone: use one for production"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
}

// If the answer has a date, Probe finds out how far this machine's clock is off.
func TestProbeClock(t *testing.T) {
	for _, off := range []time.Duration{0, 20 * time.Second, -20 * time.Second, 2 * time.Hour, -time.Hour,
		400 * 24 * time.Hour} {
		t.Run(off.String(), func(t *testing.T) {
			s := startServer(t, nil, func(c *serverConn, stream uint32) bool {
				var head bytes.Buffer
				fields := hpack.NewEncoder(&head)
				fields.WriteField(hpack.HeaderField{Name: ":status", Value: "403"})
				fields.WriteField(hpack.HeaderField{Name: "date", Value: time.Now().Add(-off).UTC().Format(http.TimeFormat)})
				c.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: head.Bytes(), EndHeaders: true})
				c.WriteData(stream, true, []byte(`{"reason":"InvalidProviderToken"}`))
				return true
			})
			q := question(t, startSim(t, apnssim.Scenario{}))
			q.Endpoint = s.endpoint()
			ahead, err := Probe(within(t), q)
			want := off
			if off.Abs() < clockTolerance {
				want = 0
			}
			if diff := ahead - want; diff.Abs() > 5*time.Second || (ahead == 0) != (want == 0) {
				t.Errorf("the clock is %v ahead, want %v", ahead, want)
			}
			if err == nil || !strings.Contains(err.Error(), "that this machine's clock is right") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// If APNs cannot be reached, the error says why, and what to do.
func TestProbeUnreachable(t *testing.T) {
	sim := startSim(t, apnssim.Scenario{})
	const gone = "127.0.0.1:1" // the port of a closed listener may soon be another's
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	server, err := pki().Server.TLS()
	if err != nil {
		t.Fatal(err)
	}
	choosy := listenTLS(t, &tls.Config{Certificates: []tls.Certificate{server}, NextProtos: []string{"h2"},
		ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12})
	pair, err := pki().Issue(devpki.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	without, err := pair.TLS()
	if err != nil {
		t.Fatal(err)
	}
	nameless := listenTLS(t, &tls.Config{Certificates: []tls.Certificate{without}, NextProtos: []string{"h2"}})
	old := listenTLS(t, &tls.Config{Certificates: []tls.Certificate{server}, NextProtos: []string{"http/1.1"}})
	for _, tt := range []struct {
		name   string
		change func(*Question)
		want   []string
	}{
		{"no listener", func(q *Question) { q.Endpoint.URL = "https://" + gone },
			[]string{"cannot reach APNs", gone, "connection refused", "let this machine out"}},
		{"nobody answers", func(q *Question) { q.Endpoint.URL = "https://" + silent.Addr().String() }, []string{"cannot reach APNs", "let this machine out"}},
		{"unknown authority", func(q *Question) { q.Endpoint.CA = x509.NewCertPool() }, []string{"unknown authority", "endpoint_ca"}},
		{"another name", func(q *Question) { q.Endpoint.URL = "https://" + nameless }, []string{"127.0.0.1", "correct the endpoint's name"}},
		{"not HTTP/2", func(q *Question) { q.Endpoint.URL = "https://" + old }, []string{"does not speak HTTP/2: is it APNs?"}},
		{"refused by TLS", func(q *Question) { q.Endpoint.URL = "https://" + choosy }, []string{"it refuses the push certificate"}},
		{"no proxy", func(q *Question) { q.Endpoint.Proxy = &url.URL{Scheme: "http", Host: gone} }, []string{"proxy", "connection refused"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			q := question(t, sim)
			tt.change(&q)
			ctx := within(t)
			if tt.name == "nobody answers" {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, 100*time.Millisecond)
				defer cancel()
			}
			_, err := Probe(ctx, q)
			if err == nil {
				t.Fatal("got no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want %q in it", err, want)
				}
			}
		})
	}
}

// A name that does not exist is not looked up here: that would ask the real DNS.
func TestRemedyForDNS(t *testing.T) {
	err := fmt.Errorf("dial: %w", &net.DNSError{Err: "no such host", Name: "nowhere.invalid", IsNotFound: true})
	if got, want := adviceOn(err), "see to this machine's DNS, or correct the endpoint's name"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// listenTLS does the TLS handshake with every client, and ends a connection when the client does.
func listenTLS(t *testing.T, config *tls.Config) (address string) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				io.Copy(io.Discard, c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	return l.Addr().String()
}

// The error names what is in the way of APNs, and what to do about it.
func TestProbeRemedies(t *testing.T) {
	sim := startSim(t, apnssim.Scenario{})
	proxy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { proxy.Close() })
	go func() {
		for {
			conn, err := proxy.Accept()
			if err != nil {
				return
			}
			http.ReadRequest(bufio.NewReader(conn))
			io.WriteString(conn, "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
			conn.Close()
		}
	}()
	trusted := endpoint(sim)
	for name, tt := range map[string]struct {
		endpoint Endpoint
		want     string
	}{
		"no authorities":          {Endpoint{URL: sim.URL(), CA: x509.NewCertPool()}, "install the package ca-certificates"},
		"a proxy with a password": {Endpoint{URL: trusted.URL, CA: trusted.CA, Proxy: &url.URL{Scheme: "http", Host: proxy.Addr().String()}}, "http://USER:PASSWORD@HOST:PORT"},
		"another name than asked": {Endpoint{URL: strings.Replace(sim.URL(), "127.0.0.1", "127.0.0.2", 1), CA: trusted.CA}, ""},
		"a credential of no use":  {trusted, "it expired"},
	} {
		credential := tokenCredential(t)
		if strings.HasPrefix(name, "a credential") {
			credential = Unusable(errors.New("it expired"))
		}
		_, err := Probe(within(t), Question{Endpoint: tt.endpoint, Credential: credential, Environment: "production",
			Topic: topic, PushType: "alert", Priority: 10, Payload: []byte("{}")})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want a sentence with %q", name, err, tt.want)
		}
	}
}
