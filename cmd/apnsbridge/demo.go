package main

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/binproto"
	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/config"
	"apnsbridge/gateway/devpki"
	"apnsbridge/gateway/provider"
)

type demoCommand struct {
	Stay bool `help:"Keep running, and print commands to try."`
}

// Help is the command's example.
func (demoCommand) Help() string {
	return `Starts an APNs simulator and the gateway on loopback with throw-away certificates,
sends notifications in all three formats through them, one to a device without
the app and one with a bad token, and prints what each side saw.

Example:

  apnsbridge demo
  apnsbridge demo --stay`
}

const demoTopic = "com.example.demo"

// The demo's devices. The simulator knows what to make of them.
var (
	phone   = deviceToken("01")
	tablet  = deviceToken("02")
	watch   = deviceToken("03")
	deleted = deviceToken("04")   // the app has been deleted from it
	invalid = deviceToken("bad0") // no token of APNs'
)

func deviceToken(prefix string) []byte {
	token, err := hex.DecodeString(prefix + strings.Repeat("00", 32-len(prefix)/2))
	if err != nil {
		panic(err)
	}
	return token
}

// demo is a whole world on loopback.
type demo struct {
	dir     string
	pki     *devpki.PKI
	sim     *apnssim.Simulator
	service *service
	out     io.Writer
}

// Run tells the story.
func (c demoCommand) Run(ctx context.Context, std streams) (err error) {
	d, err := startDemo(std, c.Stay)
	if err != nil {
		return err
	}
	defer func() {
		if closed := d.close(); err == nil {
			err = closed
		}
	}()
	if err := d.tell(ctx); err != nil {
		return err
	}
	if c.Stay {
		return d.stay(ctx)
	}
	return nil
}

// startDemo makes certificates and starts the simulator and the gateway, whose
// log is shown only to those who stay.
func startDemo(std streams, logged bool) (d *demo, err error) {
	d = &demo{out: std.out}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	if d.dir, err = os.MkdirTemp("", "apnsbridge-demo-"); err != nil {
		return nil, err
	}
	if d.pki, err = devpki.Create(demoTopic); err != nil {
		return nil, err
	}
	if err = d.pki.Write(d.dir); err != nil {
		return nil, err
	}
	certificate, err := d.pki.Server.TLS()
	if err != nil {
		return nil, err
	}
	if d.sim, err = apnssim.Start(apnssim.Config{Certificate: certificate}); err != nil {
		return nil, err
	}
	uninstalled := apnssim.Device{Token: hex.EncodeToString(deleted), Topic: demoTopic, State: apnssim.Uninstalled,
		Since: time.Now().Add(-24 * time.Hour).Unix()}
	if err = d.sim.SetDevice(uninstalled); err != nil {
		return nil, err
	}
	path := filepath.Join(d.dir, "apnsbridge.yaml")
	if err = os.WriteFile(path, fmt.Appendf(nil, demoConfig, demoTopic, d.sim.URL()), 0o600); err != nil {
		return nil, err
	}
	settings, err := config.Load(path)
	if err != nil {
		return nil, err
	}
	assembled, err := assemble(settings)
	if err != nil {
		return nil, err
	}
	log := zerolog.Nop()
	if logged {
		log = newLogger(std.err, zerolog.InfoLevel)
	}
	if d.service, err = newService(assembled, log, nil); err != nil {
		return nil, err
	}
	return d, nil
}

const demoConfig = `gateway: {listen: "127.0.0.1:0"}
feedback: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
tls: {certificate: server.pem, key: server-key.pem}
apps:
  demo:
    topic: %s
    endpoint: %s
    endpoint_ca: ca.pem
    credential:
      token: {key: AuthKey_DEVELOPER.p8, key_id: DEVELOPER1, team_id: DEMOTEAM01}
    clients:
      - {ca: ca.pem, uid: com.example.demo}
`

func (d *demo) close() error {
	var err error
	if d.service != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		err = d.service.stop(ctx)
	}
	if d.sim != nil {
		d.sim.Close()
	}
	os.RemoveAll(d.dir)
	return err
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.out, format+"\n", args...) }

// tell plays the provider, and prints what each side saw.
func (d *demo) tell(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 50*time.Second)
	defer cancel()
	push, feedback, _ := d.service.addresses()
	d.say("The gateway listens on %s, its feedback service on %s; behind it an APNs simulator on %s.\n", push,
		feedback, d.sim.Addr())

	d.say("A provider sends five notifications over the binary interface:")
	notifications := []struct {
		what string
		note binproto.Notification
	}{
		{"simple, to a phone", binproto.Notification{Command: binproto.Simple, Token: phone}},
		{"enhanced, to a tablet", binproto.Notification{Command: binproto.Enhanced, Token: tablet, Identifier: 2,
			Expiry: inAnHour()}},
		{"framed, to a watch", binproto.Notification{Command: binproto.Framed, Token: watch, Identifier: 3,
			HasIdentifier: true, Expiry: inAnHour(), HasExpiry: true, Priority: 5}},
		{"enhanced, to a phone without the app", binproto.Notification{Command: binproto.Enhanced, Token: deleted,
			Identifier: 4, Expiry: inAnHour()}},
		{"enhanced, with a bad token", binproto.Notification{Command: binproto.Enhanced, Token: invalid,
			Identifier: 5, Expiry: inAnHour()}},
	}
	conn, err := provider.Dial(ctx, push.String(), d.clientTLS())
	if err != nil {
		return err
	}
	defer conn.Close()
	stopWatching := context.AfterFunc(ctx, func() { conn.Abort() })
	defer stopWatching()
	for i, n := range notifications {
		n.note.Payload = fmt.Appendf(nil, `{"aps":{"alert":"Hello from frame %d"}}`, i+1)
		frame := n.note.Append(nil)
		if _, err := conn.Write(frame); err != nil {
			return err
		}
		d.say("  %d. %-38s %3d bytes: %x…", i+1, n.what, len(frame), frame[:12])
	}

	answer, err := conn.ReadResponse()
	if err != nil {
		return fmt.Errorf("the error packet: %w", err)
	}
	d.say("\nSuccess is silence. For the bad token the gateway answered the error packet %x:\n  status %d (%v), "+
		"identifier %d; then it ended the "+
		"connection.", answer.Append(nil), answer.Status, answer.Status, answer.Identifier)
	if err := conn.Close(); err != nil {
		return err
	}

	d.say("\nWhat APNs got:")
	for _, p := range d.sim.Received(0).Pushes {
		d.say("  POST /3/device/%s…  %s, priority %d: %s  → %d %s", p.Token[:8], p.PushType, p.Priority, p.Payload,
			p.Status, p.Reason)
	}

	d.say("\nWhat the feedback service gave:")
	read, err := d.readFeedback(ctx)
	if err != nil {
		return err
	}
	if read != 1 {
		return fmt.Errorf("the feedback service gave %d tuples; one device is without the app", read)
	}
	if read, err = d.readFeedback(ctx); err != nil {
		return err
	}
	d.say("  and %d when it was asked again: what has been read is off the list.", read)
	return nil
}

func (d *demo) readFeedback(ctx context.Context) (int, error) {
	_, feedback, _ := d.service.addresses()
	return provider.ReadFeedback(ctx, feedback.String(), d.clientTLS(), func(t binproto.Tuple) error {
		d.say("  %s  %x…  (%x)", time.Unix(int64(t.Time), 0).UTC().Format(time.RFC3339), t.Token[:4],
			t.Append(nil)[:10])
		return nil
	})
}

func (d *demo) clientTLS() *tls.Config {
	client, err := d.pki.Client.TLS()
	if err != nil {
		panic(err) // it was made a moment ago
	}
	return &tls.Config{Certificates: []tls.Certificate{client}, RootCAs: d.pki.Pool(), MinVersion: tls.VersionTLS12}
}

func inAnHour() uint32 { return uint32(time.Now().Add(time.Hour).Unix()) }

// stay keeps the demo running and says what can be tried.
func (d *demo) stay(ctx context.Context) error {
	push, feedback, admin := d.service.addresses()
	d.say("\nIt keeps running until Ctrl-C. Certificates are in %s. To try:\n", d.dir)
	credentials := "--cert client.pem --key client-key.pem --ca ca.pem"
	for _, command := range []string{
		"cd " + d.dir,
		fmt.Sprintf("apnsbridge send --gateway %s %s --token %x --payload '{\"aps\":{\"alert\":\"Hi\"}}'", push,
			credentials, phone),
		fmt.Sprintf("apnsbridge send --gateway %s %s --token %x", push, credentials, invalid),
		fmt.Sprintf("apnsbridge feedback --feedback %s %s", feedback, credentials),
		fmt.Sprintf(`printf '\0\0\40%%b\0\17{"aps":{"a":1}}' "$(printf '\\001%%.0s' $(seq 32))" | openssl s_client -quiet -no_ign_eof -connect %s -cert client.pem -key client-key.pem -CAfile ca.pem`, push),
		fmt.Sprintf(`cat client.pem client-key.pem > both.pem; php -r '$c = stream_context_create(["ssl" => ["local_cert" => "both.pem", "cafile" => "ca.pem", "peer_name" => "localhost"]]); $s = stream_socket_client("tls://%s", $e, $t, 5, STREAM_CLIENT_CONNECT, $c); $p = "{\"aps\":{\"alert\":\"PHP\"}}"; fwrite($s, chr(0) . pack("n", 32) . str_repeat(chr(1), 32) . pack("n", strlen($p)) . $p);'`, push),
		fmt.Sprintf("curl http://%s/metrics", admin),
	} {
		d.say("  %s", command)
	}
	<-ctx.Done()
	return nil
}
