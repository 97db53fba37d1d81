package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strconv"
	"syscall"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/pace"
	"apnsbridge/cmd/apnsbridge/page"
	"apnsbridge/cmd/apnsbridge/smallfile"
	"apnsbridge/gateway/provider"
)

type sendCommand struct {
	Gateway     address `default:"127.0.0.1:2195" placeholder:"HOST:PORT" help:"The gateway."`
	clientFlags `embed:""`

	Format   string        `enum:"simple,enhanced,frame" default:"enhanced" help:"How notifications are written: simple, enhanced or frame."`
	Token    string        `placeholder:"HEX" help:"The device token, in hex or as <…>."`
	Devices  int           `default:"0" placeholder:"N" help:"Send to N devices in turn, whose tokens are made of --token. Default: to the one."`
	Payload  string        `placeholder:"JSON" default:"{\"aps\":{\"alert\":\"Hello\"}}" help:"The payload, sent as it is."`
	From     string        `placeholder:"FILE" help:"Read notifications from a file, or - for standard input: a line each, a device token and, behind a space, a payload in place of --payload. Blank lines and those with # are left out."`
	Count    int           `default:"0" help:"How many to send. Default: 1, or all that --from has."`
	Rate     float64       `default:"0" help:"At most so many a second, also of what is sent again. Default: as fast as the gateway takes them."`
	Expiry   string        `default:"24h" help:"When APNs gives up: seconds since 1970, a duration from now such as 24h, 0 for a single attempt, or none (frame only)."`
	Priority uint8         `default:"10" help:"10, 5 or 1; 0 leaves it out (frame only)."`
	Quiet    time.Duration `default:"1s" help:"How long to listen for an error packet behind the last notification."`
	JSON     bool          `name:"json" help:"Print an object a line: {\"packet\":{…}} for each error packet, {\"sent\",\"refused\",…} at the end."`
}

// Help is the command's example.
func (sendCommand) Help() string {
	return `Sends notifications over the binary interface. After an error packet it sends
everything behind the refused notification again, as the interface demands.

Example:

  apnsbridge send --gateway localhost:2195 --cert client.pem --key client-key.pem --ca ca.pem \
    --token 0101010101010101010101010101010101010101010101010101010101010101 --payload '{"aps":{"alert":"Hello"}}'`
}

// Run sends, and fails if not all was accepted.
func (c sendCommand) Run(ctx context.Context, std streams) error {
	template, err := c.template()
	if err == nil {
		err = c.sensible()
	}
	if err != nil {
		return usageError{err}
	}
	config, err := c.tls()
	if err != nil {
		return err
	}
	source, err := c.source(template, std.in)
	if err != nil {
		return err
	}
	defer source.Close()

	screen := newProgress(std.err, source.count)
	client := provider.Client{
		Addr:     string(c.Gateway),
		TLS:      config,
		Number:   true,
		Quiet:    c.Quiet,
		Turn:     turns(c.Rate, time.Now),
		Progress: func(r provider.Report) { screen.show(sent(r), r.Failed) },
		Packet: func(p provider.Packet) {
			screen.clear()
			c.printPacket(std.out, p)
		},
	}
	start := time.Now()
	report, err := client.Send(ctx, source.notes())
	screen.clear()
	c.printEnd(std.out, report, time.Since(start))
	switch {
	case err != nil:
		return clientProblem(err)
	case source.err != nil:
		return source.err
	case report.Taken == 0:
		return errors.New("there was nothing to send: --from has no line with a device token")
	case report.Failed > 0:
		return fmt.Errorf("%s of %s notifications were refused", page.Number(report.Failed), page.Number(report.Taken))
	case report.Uncertain+report.Forgotten > 0:
		return fmt.Errorf("%s of %s notifications may not have arrived", page.Number(report.Uncertain+report.Forgotten),
			page.Number(report.Taken))
	}
	return nil
}

// sent is how many notifications have been written to a connection that did not
// break, those that were written again counted once.
func sent(r provider.Report) int { return max(0, r.Written-r.Resent-r.Uncertain) }

func (c sendCommand) printPacket(out io.Writer, p provider.Packet) {
	if !c.JSON {
		fmt.Fprintf(out, "error packet: status %d (%v), identifier %d, notification %d, token %s\n",
			p.Status, p.Status, p.Identifier, p.Index+1, shortToken(p.Token))
		return
	}
	type packet struct {
		Status       uint8  `json:"status"`
		Meaning      string `json:"meaning"`
		Identifier   uint32 `json:"identifier"`
		Notification int    `json:"notification"` // from 1; 0: not known
		Token        string `json:"token"`
	}
	printJSON(out, struct {
		Packet packet `json:"packet"`
	}{packet{uint8(p.Status), fmt.Sprint(p.Status), p.Identifier, p.Index + 1, hex.EncodeToString(p.Token)}})
}

func (c sendCommand) printEnd(out io.Writer, r provider.Report, took time.Duration) {
	speed := 0.0
	if seconds := (took - c.Quiet).Seconds(); seconds > 0 {
		speed = float64(sent(r)) / seconds
	}
	if !c.JSON {
		rate := ""
		if took-c.Quiet >= 100*time.Millisecond { // less is no measure
			rate = fmt.Sprintf(", %s a second", page.Number(int(speed)))
		}
		fmt.Fprintf(out, "%s sent in %v%s, %s refused, %s sent again, %s connections", page.Number(sent(r)),
			took.Round(time.Millisecond), rate, page.Number(r.Failed), page.Number(r.Resent), page.Number(r.Connections))
		if lost := r.Uncertain + r.Forgotten; lost > 0 {
			fmt.Fprintf(out, ", %s on connections that broke", page.Number(lost))
		}
		fmt.Fprintln(out)
		return
	}
	printJSON(out, struct {
		Sent        int     `json:"sent"`
		Refused     int     `json:"refused"`
		Again       int     `json:"sent_again"`
		Uncertain   int     `json:"uncertain"`
		Connections int     `json:"connections"`
		Seconds     float64 `json:"seconds"`
		Rate        float64 `json:"per_second"`
	}{sent(r), r.Failed, r.Resent, r.Uncertain + r.Forgotten, r.Connections, took.Seconds(), speed})
}

// printJSON writes an object in a line.
func printJSON(out io.Writer, v any) {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.Encode(v) // whoever reads has gone, if it fails
}

// sensible refuses flags that would not do what they say.
func (c sendCommand) sensible() error {
	switch {
	case c.Count < 0 || c.Devices < 0 || c.Rate < 0 || c.Quiet < 0:
		return errors.New("--count, --devices, --rate and --quiet cannot be less than 0")
	case math.IsNaN(c.Rate) || math.IsInf(c.Rate, 0):
		return errors.New("--rate is no rate: write a number like 100, or leave it out")
	case c.Devices > 1 && c.From != "":
		return errors.New("--devices makes tokens of --token, and --from has its own: give one of them")
	case c.Format != "frame" && c.Priority != 10:
		return errors.New("--priority goes with --format frame: the other formats have no place for it")
	case c.Priority != 0 && c.Priority != 1 && c.Priority != 5 && c.Priority != 10:
		return fmt.Errorf("--priority %d: give 10, 5, 1, or 0 to leave it out", c.Priority)
	case c.Format == "simple" && c.Expiry != "24h":
		return errors.New("--expiry goes with --format enhanced or frame: the simple one has no place for it")
	case c.Format == "enhanced" && c.Expiry == "none":
		return errors.New("--expiry none goes with --format frame: the enhanced one always has an expiry")
	case c.Key != "" && c.Cert == "":
		return errors.New("--key goes with --cert: give the certificate as well")
	}
	return nil
}

// template is a notification with all that the lines of --from do not say.
func (c sendCommand) template() (binproto.Notification, error) {
	n := binproto.Notification{Payload: []byte(c.Payload), Priority: c.Priority, HasIdentifier: c.Format != "simple"}
	switch c.Format {
	case "simple":
		n.Command = binproto.Simple
	case "enhanced":
		n.Command = binproto.Enhanced
	case "frame":
		n.Command = binproto.Framed
	}
	expiry, given, err := parseExpiry(c.Expiry, time.Now())
	if err != nil {
		return n, err
	}
	n.Expiry, n.HasExpiry = expiry, given
	if (c.Token == "") == (c.From == "") {
		return n, errors.New("give either --token or --from")
	}
	if c.Token != "" {
		if n.Token, err = parseToken(c.Token); err != nil {
			return n, fmt.Errorf("--token: %w", err)
		}
		if c.Devices > 1 && len(n.Token) < 4 {
			return n, errors.New("--devices writes the last four bytes of --token: give it a whole one")
		}
	}
	return n, nil
}

func parseExpiry(text string, now time.Time) (expiry uint32, given bool, err error) {
	if text == "none" {
		return 0, false, nil
	}
	if seconds, err := strconv.ParseUint(text, 10, 32); err == nil {
		return uint32(seconds), true, nil
	}
	in, err := time.ParseDuration(text)
	if err != nil {
		return 0, false, fmt.Errorf("--expiry %q: give seconds since 1970, a duration such as 24h, 0 or none", text)
	}
	return uint32(now.Add(in).Unix()), true, nil
}

// source opens what is sent.
func (c sendCommand) source(template binproto.Notification, in io.Reader) (*noteSource, error) {
	s := &noteSource{template: template, count: c.Count, devices: c.Devices, name: c.From}
	switch c.From {
	case "":
		s.count = c.Count
		if s.count == 0 {
			s.count = max(1, c.Devices)
		}
		return s, nil
	case "-":
		s.lines = in
		return s, nil
	}
	file, err := os.Open(c.From)
	if err != nil {
		return nil, fmt.Errorf("--from: %w", smallfile.Problem(err))
	}
	if info, err := file.Stat(); err == nil && info.IsDir() { // which can be opened, and not read
		file.Close()
		return nil, fmt.Errorf("--from: %w", smallfile.Problem(&fs.PathError{Op: "read", Path: c.From, Err: syscall.EISDIR}))
	}
	s.lines, s.file = file, file
	return s, nil
}

// turns gives a function that says how long to wait for the next turn of so many a second.
func turns(perSecond float64, now func() time.Time) func() time.Duration {
	if perSecond <= 0 {
		return nil
	}
	const slack = 100 // of a second: what a sleep that was too long has lost is made up for
	count := max(1, int(perSecond/slack))
	p := pace.New(pace.Rate{Count: count, Per: time.Duration(float64(count) / perSecond * float64(time.Second))})
	return func() time.Duration { return p.Take(1, now()) }
}

// shortToken is enough of a device token to find it, and too little to use it.
func shortToken(token []byte) string {
	if len(token) <= 8 {
		return hex.EncodeToString(token)
	}
	return hex.EncodeToString(token[:8]) + "…"
}
