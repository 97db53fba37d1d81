package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/page"
	"apnsbridge/cmd/apnsbridge/quoting"
	"apnsbridge/cmd/apnsbridge/server"
	"apnsbridge/cmd/apnsbridge/smallfile"
	"apnsbridge/cmd/apnsbridge/story"
	"apnsbridge/gateway/identity"
)

type simCommand struct {
	Listen   address `default:"127.0.0.1:2197" placeholder:"HOST:PORT" help:"Where it is APNs."`
	Cert     string  `placeholder:"FILE" help:"Its certificate, PEM. Default: one that it makes in --dir."`
	Key      string  `placeholder:"FILE" help:"The certificate's key, PEM."`
	Dir      string  `default:"apnsbridge-sim" placeholder:"DIR" help:"Where it makes its certificates, and finds them the next time."`
	ClientCA string  `name:"client-ca" placeholder:"FILE" help:"Who signs the certificates that stand for a provider token, PEM. Default: tokens only."`
	Control  address `default:"127.0.0.1:2198" placeholder:"HOST:PORT" help:"Where the control API is."`
	Courier  address `default:"127.0.0.1:2199" placeholder:"HOST:PORT" help:"Where devices connect; see apnsbridge device."`
	Scenario string  `placeholder:"FILE" help:"How it behaves, JSON; docs/simulator.md has what there is. Default: as a healthy APNs."`
	Quiet    bool    `help:"Print no line for each push."`
}

// Help is the command's example.
func (simCommand) Help() string {
	return `Behaves like APNs on the real wire, for trying out and for tests, and prints a line
for each push. Unknown device tokens are active; those that begin with bad0 are
bad, those with dead are gone.

Without --cert and --key it makes certificates of its own, and prints what to
write into apnsbridge.yaml.

Example:

  apnsbridge sim
  apnsbridge sim --cert certs/server.pem --key certs/server-key.pem
  curl http://127.0.0.1:2198/received    # a browser has a page at http://127.0.0.1:2198/`
}

// Run serves until a signal.
func (c simCommand) Run(ctx context.Context, std streams) error {
	if (c.Cert == "") != (c.Key == "") {
		return usageError{errors.New("--cert and --key go together: give both or neither")}
	}
	own := c.Cert == ""
	if own {
		if err := c.makeCertificates(); err != nil {
			return err
		}
	}
	config, err := c.config()
	if err != nil {
		return err
	}
	sim, err := apnssim.Start(config)
	if err != nil {
		return server.ListenProblem("--listen", err)
	}
	defer sim.Close()
	listener, err := net.Listen("tcp", string(c.Control))
	if err != nil {
		return server.ListenProblem("--control", err)
	}
	control := &http.Server{Handler: simControl(sim, ctx.Done()), ReadHeaderTimeout: 10 * time.Second}
	defer control.Close()
	phones, err := startCourier(sim, string(c.Courier), config.Certificate)
	if err != nil {
		listener.Close()
		return err
	}
	defer phones.close()
	failed := make(chan error, 2)
	go func() { failed <- control.Serve(listener) }()
	go func() { failed <- phones.serve() }()
	fmt.Fprintf(std.out, "APNs simulator on %s, control API on http://%s, devices connect to %s\n", sim.URL(),
		listener.Addr(), phones.address())
	if own {
		c.printPaste(std.out, sim.URL())
	}
	watching, stop := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		if !c.Quiet {
			printPushes(watching, sim, std.out)
		}
	}()
	select {
	case <-ctx.Done():
		err = nil
	case err = <-failed:
	}
	stop()
	<-watched
	return err
}

// makeCertificates makes what the simulator and its clients need, once.
func (c *simCommand) makeCertificates() error {
	c.Cert, c.Key = filepath.Join(c.Dir, "server.pem"), filepath.Join(c.Dir, "server-key.pem")
	if _, err := os.Stat(c.Cert); err == nil {
		return nil
	}
	return writeDevelopmentPKI(c.Dir, story.Topic)
}

// printPaste writes what makes a gateway take the simulator for APNs.
func (c simCommand) printPaste(out io.Writer, url string) {
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		dir = c.Dir
	}
	fmt.Fprintf(out, `
For an app in apnsbridge.yaml:
    endpoint: %s
    endpoint_ca: %s
    credential: {token: {key: %s, key_id: DEVELOPER1, team_id: DEMOTEAM01}}

`, url, quoting.YAML(filepath.Join(dir, "ca.pem")), quoting.YAML(filepath.Join(dir, "AuthKey_DEVELOPER.p8")))
}

const simHelp = `This is the control API of apnsbridge's APNs simulator.

GET    /received?since=N   the pushes after the Nth, as JSON
DELETE /received           forgets them
GET    /stats              its counters
POST   /devices            {"token":"…","state":"active|uninstalled|absent"}
POST   /scenario           {"outage":{}} and others, see docs/simulator.md; {} is a healthy APNs
`

// pushesOnPage is how many pushes the page has at most; GET /received gives them all.
const pushesOnPage = 100

// simControl is the simulator's control API, and what it is for those who look: a page
// for a browser, which is kept up to date until ended is closed.
func simControl(sim *apnssim.Simulator, ended <-chan struct{}) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", sim.Control())
	mux.HandleFunc("GET /page.css", page.File)
	mux.HandleFunc("GET /page.js", page.File)
	mux.HandleFunc("GET /changes", func(w http.ResponseWriter, r *http.Request) {
		page.ServeChanges(w, r, time.Second, ended)
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.Header.Get("Accept"), "text/html") {
			stats := sim.Stats()
			pushes := sim.Received(max(0, stats.Received-pushesOnPage)).Pushes
			slices.Reverse(pushes)
			page.WriteSimulator(w, &page.Simulator{URL: sim.URL(), Stats: stats,
				Pushes: pushes[:min(len(pushes), pushesOnPage)]})
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		io.WriteString(w, simHelp)
	})
	return mux
}

// printPushes writes a line for each push until ctx ends. Of a flood it writes
// what a person can read.
func printPushes(ctx context.Context, sim *apnssim.Simulator, out io.Writer) {
	const atOnce = 200
	seq, count := 0, 0
	for sim.Wait(ctx, func(s apnssim.Stats) bool { return s.Received != count }) == nil {
		count = sim.Stats().Received
		pushes := sim.Received(seq).Pushes
		if len(pushes) == 0 {
			continue
		}
		seq = pushes[len(pushes)-1].Seq
		if more := len(pushes) - atOnce; more > 0 {
			fmt.Fprintf(out, "%d pushes more, and then:\n", more)
			pushes = pushes[more:]
		}
		for _, p := range pushes {
			fmt.Fprintf(out, "%s push %d to %s, device %.16s…: %s, priority %d, %d bytes: %d %s\n",
				time.Now().Format(time.TimeOnly), p.Seq, identity.Clip(p.Topic), p.Token,
				identity.Clip(p.PushType), p.Priority, len(p.Payload), p.Status, p.Reason)
		}
	}
}

func (c simCommand) config() (apnssim.Config, error) {
	config := apnssim.Config{Listen: string(c.Listen)}
	var err error
	if config.Certificate, err = smallfile.Pair(c.Cert, c.Key); err != nil {
		return config, fmt.Errorf("the certificate %s with key %s: %w", c.Cert, c.Key, err)
	}
	if c.ClientCA != "" {
		if config.ClientCAs, err = smallfile.Pool(c.ClientCA); err != nil {
			return config, err
		}
	}
	if c.Scenario != "" {
		text, err := os.ReadFile(c.Scenario)
		if err != nil {
			return config, fmt.Errorf("--scenario: %w", smallfile.Problem(err))
		}
		if config.Scenario, err = apnssim.ParseScenario(text); err != nil {
			return config, fmt.Errorf("--scenario %s: %s: docs/simulator.md has what there is", c.Scenario,
				strings.TrimPrefix(err.Error(), "apnssim: "))
		}
	}
	return config, nil
}
