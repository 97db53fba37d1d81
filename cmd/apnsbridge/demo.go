package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/config"
	"apnsbridge/cmd/apnsbridge/quoting"
	"apnsbridge/cmd/apnsbridge/server"
	"apnsbridge/cmd/apnsbridge/story"
	"apnsbridge/gateway/devpki"
)

type demoCommand struct {
	Stay bool    `help:"Keep running, with a page to take part, and print commands to try."`
	Page address `default:"127.0.0.1:0" placeholder:"HOST:PORT" help:"Where the page of --stay is. Default: a free port of loopback."`
}

// Help is the command's example.
func (demoCommand) Help() string {
	return `Tells the whole story on loopback, with throw-away certificates: phones with an app,
a provider that speaks the binary protocol, the gateway, and an APNs simulator. It
prints what each side saw, byte by byte. With --stay there is a page besides, where
one can send, take a phone offline, remove the app, and cut APNs off.

Example:

  apnsbridge demo
  apnsbridge demo --stay`
}

// demo is a whole world on loopback.
type demo struct {
	dir     string
	pki     *devpki.PKI
	sim     *apnssim.Simulator
	phones  *courierPort
	service *server.Service
	stage   *story.Stage
	page    string // where it is to be
	out     io.Writer
}

// Run tells the story.
func (c demoCommand) Run(ctx context.Context, std streams) (err error) {
	if err := server.CanServe(); err != nil {
		return err
	}
	d, err := startDemo(std, c.Stay, 0)
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
		d.page = string(c.Page)
		return d.stay(ctx)
	}
	return nil
}

// startDemo makes certificates and starts the simulator and the gateway, whose
// log is shown only to those who stay.
func startDemo(std streams, logged bool, pause time.Duration) (d *demo, err error) {
	d = &demo{out: std.out}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	if d.dir, err = os.MkdirTemp("", "apnsbridge-demo-"); err != nil {
		return nil, err
	}
	if d.pki, err = devpki.Create(story.Topic); err != nil {
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
	if d.phones, err = startCourier(d.sim, "127.0.0.1:0", certificate); err != nil {
		return nil, err
	}
	go d.phones.serve()
	path := filepath.Join(d.dir, "apnsbridge.yaml")
	if err = os.WriteFile(path, fmt.Appendf(nil, story.Settings, story.Topic, d.sim.URL()), 0o600); err != nil {
		return nil, err
	}
	settings, err := config.Load(path)
	if err != nil {
		return nil, err
	}
	assembled, err := server.Assemble(settings)
	if err != nil {
		return nil, err
	}
	log := zerolog.Nop()
	if logged {
		log = newLogger(std.err, zerolog.InfoLevel)
	}
	if d.service, err = server.New(assembled, server.Options{Version: version(), Log: log}); err != nil {
		return nil, err
	}
	push, feedback, _ := d.service.Addresses()
	d.stage = story.NewStage(story.World{
		Push: push.String(), Feedback: feedback.String(), Provider: d.clientTLS(), Sim: d.sim,
		Courier: d.phones.address().String(), Bundle: story.Topic, Pause: pause,
		Phones: &tls.Config{RootCAs: d.pki.Pool(), MinVersion: tls.VersionTLS12},
	}, time.Now)
	return d, nil
}

func (d *demo) close() error {
	var err error
	if d.stage != nil {
		d.stage.Close()
	}
	if d.service != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		err = d.service.Stop(ctx)
	}
	if d.phones != nil {
		d.phones.close()
	}
	if d.sim != nil {
		d.sim.Close()
	}
	os.RemoveAll(d.dir)
	return err
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.out, format+"\n", args...) }

// tell plays the story, and prints what each side saw.
func (d *demo) tell(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 50*time.Second)
	defer cancel()
	push, feedback, _ := d.service.Addresses()
	d.say("The gateway listens on %s, its feedback service on %s; behind it is an APNs simulator, on %s.\n", push,
		feedback, d.sim.Addr())
	return d.stage.Tell(ctx, d.out)
}

func (d *demo) clientTLS() *tls.Config {
	client, err := d.pki.Client.TLS()
	if err != nil {
		panic(err) // it was made a moment ago
	}
	return &tls.Config{Certificates: []tls.Certificate{client}, RootCAs: d.pki.Pool(), MinVersion: tls.VersionTLS12}
}

// stay keeps the demo running and says what can be tried.
func (d *demo) stay(ctx context.Context) error {
	page, err := d.openPage()
	if err != nil {
		return err
	}
	defer page.Close()
	push, feedback, admin := d.service.Addresses()
	token, err := d.stage.Token(story.Ben)
	if err != nil {
		return err
	}
	d.say("It keeps running until Ctrl-C. On http://%s/ you can take part. Certificates are in %s. To try:\n", page.Addr,
		d.dir)
	credentials := "--cert client.pem --key client-key.pem --ca ca.pem"
	for _, command := range []string{
		"cd " + quoting.ShellPath(d.dir),
		fmt.Sprintf("apnsbridge send --gateway %s %s --token %x --payload '{\"aps\":{\"alert\":\"Hi\"}}'", push,
			credentials, token),
		fmt.Sprintf("apnsbridge send --gateway %s %s --token %x", push, credentials, story.Mistyped()),
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

// openPage serves the stage on loopback.
func (d *demo) openPage() (*http.Server, error) {
	listener, err := net.Listen("tcp", d.page)
	if err != nil {
		return nil, fmt.Errorf("the page: %w", err)
	}
	server := &http.Server{Addr: listener.Addr().String(), Handler: d.stage.Page(), ReadHeaderTimeout: 10 * time.Second}
	go server.Serve(listener)
	return server, nil
}
