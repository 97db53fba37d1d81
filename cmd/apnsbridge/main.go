// Command apnsbridge is the address to which providers of Apple's retired
// binary push interface point their sockets: it takes their frames, delivers
// them to APNs over HTTP/2, and answers as the old gateway did.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"apnsbridge/cmd/apnsbridge/quoting"
)

// commands is the command line.
type commands struct {
	Init     initCommand     `cmd:"" help:"Write a configuration and certificates for it."`
	Serve    serveCommand    `cmd:"" help:"Run the gateway: push port, feedback port, admin port."`
	Demo     demoCommand     `cmd:"" help:"Show the whole story on loopback, with nothing configured."`
	Sim      simCommand      `cmd:"" help:"Run the APNs simulator alone."`
	Device   deviceCommand   `cmd:"" help:"Be a phone in a terminal, connected to the simulator."`
	Send     sendCommand     `cmd:"" help:"Send notifications as a legacy provider does."`
	Feedback feedbackCommand `cmd:"" help:"Read the feedback service as a legacy provider does."`
	Check    checkCommand    `cmd:"" help:"Check a configuration and what it names."`
	Certs    certsCommand    `cmd:"" help:"Make certificates: for trying out, or for production."`
	Try      tryCommand      `cmd:"" help:"Play a provider through the gateway that runs, and say how far it comes."`
	Status   statusCommand   `cmd:"" help:"Ask the gateway that runs how it is."`
	Trace    traceCommand    `cmd:"" help:"Print what becomes of notifications, step by step."`
	Reload   reloadCommand   `cmd:"" help:"Have the gateway that runs read its configuration anew."`
	Version  versionCommand  `cmd:"" help:"Print what was built."`

	Fleet      fleetCommand      `cmd:"" help:"See where the apps of a fleet live, and move them."`
	Completion completionCommand `cmd:"" help:"Print what makes a shell complete commands and flags."`
	Man        manCommand        `cmd:"" help:"Print the manual page."`
	Spool      spoolCommand      `cmd:"" help:"Inspect what waits on disk, and repair it while the gateway is stopped."`
}

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// streams are the command's standard streams.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// A usageError is a mistake on the command line.
type usageError struct{ error }

// errSaid is a failure of which all has been printed.
var errSaid = errors.New("failed")

func main() {
	os.Exit(run(os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}

func run(args []string, std streams) int {
	helped, out := false, &output{to: std.out}
	std.out = out
	parser, err := kong.New(&commands{},
		kong.Name("apnsbridge"),
		kong.Description("The address for providers that still speak Apple's binary push interface: frames in, "+
			"HTTP/2 APNs out, feedback back."),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, Summary: true}),
		kong.ValueFormatter(helpWithDefault),
		kong.Writers(std.out, std.err),
		kong.Exit(func(int) { helped = true }),
	)
	if err != nil {
		panic(err) // the structs above contradict themselves
	}
	selected, err := parser.Parse(asMeant(args, parser.Model.Node))
	switch {
	case helped:
		err = nil
	case err == nil:
		ctx, stop := untilSignal(context.Background())
		defer stop()
		selected.BindTo(ctx, (*context.Context)(nil))
		err = selected.Run(std, parser.Model)
	}
	if out.err != nil {
		err = writeProblem("the output", out.err, elsewhere)
	}
	return printError(err, std.err)
}

// helpWithDefault adds a flag's default to its help, which may say it itself.
func helpWithDefault(v *kong.Value) string {
	if !v.HasDefault || v.Default == "" || strings.Contains(v.Help, "Default:") {
		return v.Help
	}
	return v.Help + " Default: " + v.Default + "."
}

// printError prints an error as a person wants to read it, and gives its exit code.
func printError(err error, to io.Writer) int {
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errSaid):
		return exitFailed
	}
	text, code := fmt.Sprintf("apnsbridge: %v\n", err), exitFailed
	var usage usageError
	var parse *kong.ParseError
	if errors.As(err, &parse) {
		text = fmt.Sprintf("apnsbridge: %s\n", inWords(parse.Error()))
	}
	if errors.As(err, &usage) || parse != nil {
		text += "apnsbridge: --help shows how it is done, with an example\n"
		code = exitUsage
	}
	text = quoting.Terminal(text)
	if _, ok := to.(*os.File); !ok {
		io.WriteString(to, text)
		return code
	}
	// Whoever has stopped reading does not keep the process from ending.
	written := make(chan struct{})
	go func() {
		defer close(written)
		io.WriteString(to, text)
	}()
	select {
	case <-written:
	case <-time.After(logPatience):
	}
	return code
}
