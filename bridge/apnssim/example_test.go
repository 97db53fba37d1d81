package apnssim_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/gateway/devpki"
)

// A scenario as it stands in a file for the sim command, or in POST /scenario. Among other things,
// answers come after 20 to 25 ms; a tenth of the pushes to tokens that begin with c0 fail, but two
// at most; there is one stream until the first push is accepted; and three connections get a GOAWAY
// after 1000 requests each.
func ExampleParseScenario() {
	s, err := apnssim.ParseScenario([]byte(`{
		"seed": 7,
		"latency": {"fixed_ms": 20, "jitter_ms": 5},
		"reasons": [
			{"prefix": "c0", "reason": "InternalServerError", "probability": 0.1, "times": 2},
			{"prefix": "c1", "status": 502, "body": "<html>"},
			{"prefix": "c2", "reason": "Unregistered", "timestamp": 1700000000000}
		],
		"max_concurrent_streams": 1000,
		"throttle": {"low": 1},
		"windows": {"stream": 65535, "connection": 65535},
		"goaway": {"after": 1000, "mode": "graceful", "reason": "Shutdown", "times": 3},
		"resets": {"probability": 0.001, "when": "unseen", "code": "REFUSED_STREAM"},
		"black_hole": {"after": 5000, "times": 1},
		"device_limit": {"count": 100, "seconds": 60},
		"require_json": true
	}`))
	fmt.Println(s.Latency.Fixed, s.Reasons[0].Reason, err)
	_, err = apnssim.ParseScenario([]byte(`{"goaway": {"mode": "rude"}}`))
	fmt.Println(err)
	// Output:
	// 20 InternalServerError <nil>
	// apnssim: scenario: goaway: mode "rude" is none of graceful, double, abrupt, cut
}

// Pushes as a provider sends them over HTTP/2, and what the simulator remembers of them. A test
// has an easier way in: Start with an empty Config, and Simulator.Client.
func ExampleStart() {
	pki, err := devpki.Create("com.example.mail")
	if err != nil {
		panic(err)
	}
	certificate, err := pki.Server.TLS()
	if err != nil {
		panic(err)
	}
	client, err := pki.Client.TLS()
	if err != nil {
		panic(err)
	}
	sim, err := apnssim.Start(apnssim.Config{Certificate: certificate, ClientCAs: pki.Pool()})
	if err != nil {
		panic(err)
	}
	defer sim.Close()
	transport := &http.Transport{ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{RootCAs: pki.Pool(), Certificates: []tls.Certificate{client}}}
	defer transport.CloseIdleConnections()

	for _, token := range []string{strings.Repeat("0a", 32), "dead" + strings.Repeat("0b", 30)} {
		body := strings.NewReader(`{"aps":{"alert":"Hello"}}`)
		request, err := http.NewRequest(http.MethodPost, sim.URL()+"/3/device/"+token, body)
		if err != nil {
			panic(err)
		}
		request.Header = http.Header{"Apns-Topic": {"com.example.mail"}, "Apns-Push-Type": {"alert"}}
		response, err := (&http.Client{Transport: transport}).Do(request)
		if err != nil {
			panic(err)
		}
		response.Body.Close()
	}
	for _, push := range sim.Received(0).Pushes {
		fmt.Printf("%s… %s: %d %q\n", push.Token[:8], push.PushType, push.Status, push.Reason)
	}
	// Output:
	// 0a0a0a0a… alert: 200 ""
	// dead0b0b… alert: 410 "Unregistered"
}
