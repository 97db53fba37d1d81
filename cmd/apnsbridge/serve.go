package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"

	"apnsbridge/cmd/apnsbridge/config"
	"apnsbridge/cmd/apnsbridge/logwriter"
	"apnsbridge/cmd/apnsbridge/server"
	"apnsbridge/cmd/apnsbridge/succession"
)

type serveCommand struct {
	Config string `default:"apnsbridge.yaml" placeholder:"FILE" help:"The configuration."`
	Debug  bool   `help:"Log at debug level."`

	TakeOver bool `xor:"succession" help:"Take the ports of the gateway that runs with the same store, which then drains."`
	HandOver bool `xor:"succession" help:"Run as a child, and go at SIGTERM while that drains: for a unit with a socket unit."`
}

// Help is the command's example.
func (serveCommand) Help() string {
	return `Runs until SIGTERM or SIGINT, then drains: it takes no new connections and waits
until what it has taken is with APNs. A second signal ends it at once.
SIGHUP reads the configuration and all its files anew, or says in the log why it
stays with what it has.

No connection is refused at a restart where systemd holds the ports (the socket unit
beside the unit of the service), or where the new process is started with --take-over
while the old one runs. The new one accepts at once, and reads what providers write
when the old one has drained and let go of the store.

Example:

  apnsbridge check --config apnsbridge.yaml && apnsbridge serve --config apnsbridge.yaml`
}

// Run serves until a signal.
func (c serveCommand) Run(ctx context.Context, std streams) error {
	if err := server.CanServe(); err != nil {
		return err
	}
	if c.HandOver {
		return handOver(ctx)
	}
	ctx, alone, accompanied := succession.WithParent(ctx)
	defer alone()
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	settings, err := config.Load(c.Config)
	if err != nil {
		return err
	}
	assembled, err := server.Assemble(settings)
	if err != nil {
		return err
	}
	level := zerolog.InfoLevel
	if c.Debug {
		level = zerolog.DebugLevel
	}
	signal.Ignore(syscall.SIGPIPE) // the end of the log's reader is not ours
	lines := logwriter.New(logOutput(std.err), int64(settings.Limits.LogRate))
	defer lines.Close(logPatience)
	log := zerolog.New(lines).Level(level).With().Timestamp().Logger()
	sockets, predecessor, err := c.sockets(settings)
	if err != nil {
		return err
	}
	s, err := server.New(assembled, server.Options{Version: version(), Log: log, Lines: lines, Sockets: sockets,
		Predecessor: predecessor, Awaits: c.TakeOver, Accompanied: accompanied})
	if err != nil {
		return err
	}
	return s.Serve(ctx, hangups)
}

// handOver runs the same command without --hand-over in a child.
func handOver(ctx context.Context) error {
	args := slices.DeleteFunc(slices.Clone(os.Args[1:]), func(arg string) bool { return arg == "--hand-over" })
	err := succession.Accompany(ctx, args)
	if said := new(exec.ExitError); errors.As(err, &said) {
		return errSaid
	}
	return err
}

// sockets are those that systemd gives, or else the predecessor, if that is asked for
// them. In both cases it is to hear that its successor accepts.
func (c serveCommand) sockets(settings *config.Config) (*succession.Sockets, *succession.Predecessor, error) {
	held, err := succession.FromSystemd()
	if err != nil || !held.Given() && !c.TakeOver {
		return held, nil, err
	}
	given, predecessor, err := succession.TakeOver(settings.Path(settings.Store.Path))
	if err != nil || !held.Given() {
		return given, predecessor, err
	}
	given.Close()
	return held, predecessor, nil
}

// logPatience is how long the end waits for the log's reader.
const logPatience = time.Second

// newLogger writes to a reader that may hold up who logs.
func newLogger(to io.Writer, level zerolog.Level) zerolog.Logger {
	return zerolog.New(logOutput(to)).Level(level).With().Timestamp().Logger()
}

// logOutput gets JSON, and on a terminal what a person can read.
func logOutput(to io.Writer) io.Writer {
	if file, ok := to.(*os.File); ok && isatty.IsTerminal(file.Fd()) {
		return zerolog.ConsoleWriter{Out: to}
	}
	return to
}
