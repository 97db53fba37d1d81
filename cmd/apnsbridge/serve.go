package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"

	"apnsbridge/cmd/apnsbridge/config"
)

type serveCommand struct {
	Config string `default:"apnsbridge.yaml" placeholder:"FILE" help:"The configuration."`
	Debug  bool   `help:"Log what is not worth a line otherwise."`
}

// Help is the command's example.
func (serveCommand) Help() string {
	return `Runs until SIGTERM or SIGINT, then drains: it takes no new connections and waits
until what it has taken is with APNs. A second signal ends it at once.
SIGHUP reads the configuration and all its files anew, or says in the log why it
stays with what it has.

Example:

  apnsbridge check --config apnsbridge.yaml && apnsbridge serve --config apnsbridge.yaml`
}

// Run serves until a signal.
func (c serveCommand) Run(ctx context.Context, std streams) error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	settings, err := config.Load(c.Config)
	if err != nil {
		return err
	}
	assembled, err := assemble(settings)
	if err != nil {
		return err
	}
	level := zerolog.InfoLevel
	if c.Debug {
		level = zerolog.DebugLevel
	}
	signal.Ignore(syscall.SIGPIPE) // the end of the log's reader is not ours
	lines := newLogWriter(logOutput(std.err), int64(settings.Limits.LogRate))
	defer lines.close(logPatience)
	log := zerolog.New(lines).Level(level).With().Timestamp().Logger()
	s, err := newService(assembled, log, lines)
	if err != nil {
		return err
	}
	push, feedback, admin := s.addresses()
	ready := log.Info().Stringer("gateway", push).Stringer("feedback", feedback).Int("apps", len(assembled.apps))
	if admin != nil {
		ready.Stringer("admin", admin)
	}
	ready.Msg("serving")
	s.warn()
	manager, err := newSystemd(os.Getenv)
	if err != nil {
		log.Warn().Err(err).Msg("systemd cannot be told that the service is ready")
	}
	defer manager.close()
	return s.run(ctx, hangups, manager)
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
