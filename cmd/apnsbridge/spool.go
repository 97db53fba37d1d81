package main

import (
	"context"
	"errors"
	"fmt"
	"math"

	"apnsbridge/cmd/apnsbridge/config"
	"apnsbridge/cmd/apnsbridge/page"
	"apnsbridge/cmd/apnsbridge/smallfile"
	"apnsbridge/store"
	"apnsbridge/store/boltstore"
)

type spoolCommand struct {
	List   spoolListCommand   `cmd:"" help:"Show how many notifications wait, and since when."`
	Purge  spoolPurgeCommand  `cmd:"" help:"Throw away notifications that wait."`
	Move   spoolMoveCommand   `cmd:"" help:"Give what waits for an app to another name."`
	Import spoolImportCommand `cmd:"" help:"Take over the notifications of a file that was set aside."`
}

// spoolFlags say which spool it is.
type spoolFlags struct {
	Config string `default:"apnsbridge.yaml" placeholder:"FILE" help:"The configuration, for store.path and spool.max_bytes."`
}

// dir is the directory of the store.
func (f spoolFlags) dir() (dir string, settings *config.Config, err error) {
	if settings, err = config.Load(f.Config); err != nil {
		return "", nil, err
	}
	return settings.Path(settings.Store.Path), settings, nil
}

// with runs fn on the spool, which no gateway has open. Room is how many times the
// spool's bytes there is room for, while fn has something twice.
func (f spoolFlags) with(room int64, fn func(*boltstore.Spool) error) error {
	dir, settings, err := f.dir()
	if err != nil {
		return err
	}
	o := boltstore.Options{SpoolBytes: room * int64(settings.Spool.MaxBytes), SpoolDevice: math.MaxInt64}
	s, err := boltstore.OpenSpoolOffline(dir, o)
	if err != nil {
		return err
	}
	return errors.Join(fn(s), s.Close())
}

type spoolListCommand struct {
	spoolFlags `embed:""`
	appFlag    `embed:""`
	JSON       bool `name:"json" help:"Print an object a line: {\"app\",\"environment\",\"topic\",\"records\",\"queued\",\"bytes\",\"since\":epoch}."`
}

// Help is the command's example.
func (spoolListCommand) Help() string {
	return `Shows, for each app, environment of APNs and topic, how many notifications wait,
how many of these in queues of devices that were asked before, the disk space they
take, and a time before which none of them came. While the gateway runs it is what
waited a second or two ago.

Example:

  apnsbridge spool list --config apnsbridge.yaml --app mail`
}

// Run prints the list.
func (c spoolListCommand) Run(std streams) error {
	dir, _, err := c.dir()
	if err != nil {
		return err
	}
	stats, err := waitingIn(dir)
	if err != nil {
		return err
	}
	list := c.of(stats.Lines)
	switch {
	case c.JSON:
		return writeJSON(std.out, list)
	case len(list) == 0:
		return c.sayNone(std.out, stats.Lines)
	}
	return writeTable(std.out, list)
}

// waitingIn is what waits in the store in dir, whether a gateway has it open or not.
func waitingIn(dir string) (stats store.SpoolStats, err error) {
	s, err := boltstore.OpenSpoolOffline(dir, boltstore.Options{})
	switch {
	case errors.Is(err, boltstore.ErrNoSpool):
		return stats, nil
	case errors.Is(err, boltstore.ErrInUse):
		stats, _, err = boltstore.SpoolBeside(dir)
		return stats, err
	case err != nil:
		return stats, err
	}
	return s.Stats(), s.Close()
}

type spoolPurgeCommand struct {
	spoolFlags `embed:""`
	appFlag    `embed:""`
	Yes        bool `help:"Do it: what is thrown away is never delivered."`
}

// Help is the command's example.
func (spoolPurgeCommand) Help() string {
	return `Throws away notifications that wait, of all apps or of one. Without --yes it says
which these are, and leaves them.

Example:

  apnsbridge spool purge --config apnsbridge.yaml --app mail/sandbox --yes`
}

// Run throws away.
func (c spoolPurgeCommand) Run(ctx context.Context, std streams) error {
	return c.with(1, func(s *boltstore.Spool) error {
		all := s.Stats().Lines
		list := c.of(all)
		if len(list) == 0 {
			return c.sayNone(std.out, all)
		}
		if !c.Yes {
			if err := writeTable(std.out, list); err != nil {
				return err
			}
			return usageError{errors.New("these are thrown away with --yes")}
		}
		for _, l := range list {
			n, err := s.Purge(ctx, l.Line)
			fmt.Fprintf(std.out, "%s/%s, topic %s: %s notifications are thrown away\n",
				l.App, l.Environment, topicName(l.Line), page.Number(n))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

type spoolMoveCommand struct {
	spoolFlags `embed:""`
	From       string `arg:"" placeholder:"FROM" help:"The name of an app, as spool list shows it."`
	To         string `arg:"" placeholder:"TO" help:"The name it has in the configuration now."`
}

// Help is the command's example.
func (spoolMoveCommand) Help() string {
	return `Gives what waits for an app to another app of the configuration, as when its name
was changed: environments and topics stay, and it comes behind what waits there.

Example:

  apnsbridge spool move --config apnsbridge.yaml mail mailer`
}

// Run moves.
func (c spoolMoveCommand) Run(ctx context.Context, std streams) error {
	_, settings, err := c.dir()
	if err != nil {
		return err
	}
	if _, ok := settings.Apps[c.To]; !ok {
		return fmt.Errorf("%s has no app %q: notifications are moved to one that it has", c.Config, c.To)
	}
	if c.From == c.To {
		return fmt.Errorf("%q is the app itself", c.To)
	}
	return c.with(2, func(s *boltstore.Spool) error {
		moved := 0
		for _, l := range (appFlag{App: c.From}).of(s.Stats().Lines) {
			if l.App != c.From {
				continue
			}
			to := l.Line
			to.App = c.To
			n, err := s.Move(ctx, l.Line, to)
			moved += n
			if err != nil {
				return fmt.Errorf("after %s notifications: %w", page.Number(moved), err)
			}
		}
		_, err := fmt.Fprintf(std.out, "%s notifications of %s are %s's now\n", page.Number(moved), c.From, c.To)
		return err
	})
}

type spoolImportCommand struct {
	spoolFlags `embed:""`
	File       string `arg:"" placeholder:"FILE" help:"A queues.db that was set aside, or a copy of one or of a .log file."`
}

// Help is the command's example.
func (spoolImportCommand) Help() string {
	return `Takes over every notification that is whole in a file that was damaged and set
aside, if it has not expired: all, or with an error none. They are delivered when
the gateway starts, behind what waits already. The file then gets .imported behind
its name, so that it is not imported again.

Example:

  apnsbridge spool import --config apnsbridge.yaml data/spool/queues.db.damaged-20261122T100000Z`
}

// Run imports.
func (c spoolImportCommand) Run(ctx context.Context, std streams) error {
	err := c.with(1, func(s *boltstore.Spool) error {
		got, err := s.Import(ctx, c.File)
		if err != nil {
			return smallfile.Problem(err)
		}
		fmt.Fprintf(std.out, "%s notifications are imported\n", page.Number(got.Put))
		for _, line := range []struct {
			n    int
			what string
		}{
			{got.Doubted, "of these may have been delivered before: where the file would say so is damaged"},
			{got.Done, "were delivered before"},
			{got.Expired, "have expired"},
			{got.Broken, "are damaged"},
		} {
			if line.n > 0 {
				fmt.Fprintf(std.out, "%s %s\n", page.Number(line.n), line.what)
			}
		}
		return nil
	})
	if errors.Is(err, boltstore.ErrNoSpool) {
		err = fmt.Errorf("%w: start the gateway once, which makes one, and stop it", err)
	}
	return err
}
