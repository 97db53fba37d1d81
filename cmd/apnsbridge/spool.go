package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"apnsbridge/cmd/apnsbridge/config"
	"apnsbridge/store/boltstore"
)

type spoolCommand struct {
	List    spoolListCommand    `cmd:"" help:"Show how many notifications wait, and since when."`
	Purge   spoolPurgeCommand   `cmd:"" help:"Throw away notifications that wait."`
	Import  spoolImportCommand  `cmd:"" help:"Take over the notifications of a damaged file."`
	Compact spoolCompactCommand `cmd:"" help:"Give back the disk space that is free in the file."`
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

// with runs fn on the spool.
func (f spoolFlags) with(fn func(*boltstore.Spool) error) error {
	dir, settings, err := f.dir()
	if err != nil {
		return err
	}
	s, err := boltstore.OpenSpool(dir, boltstore.Options{SpoolBytes: int64(settings.Spool.MaxBytes)})
	if err != nil {
		return err
	}
	return errors.Join(fn(s), s.Close())
}

// appFlag selects queues.
type appFlag struct {
	App string `placeholder:"NAME" help:"Of this app only; with /production or /sandbox behind it, of this environment only."`
}

// list is what is in the spool of the selected queues.
func (a appFlag) list(ctx context.Context, s *boltstore.Spool) (list []boltstore.SpoolListing, err error) {
	all, err := s.List(ctx)
	for _, l := range all {
		app, _ := queueParts(l.Queue)
		if a.App == "" || a.App == app || a.App == l.Queue {
			list = append(list, l)
		}
	}
	return list, err
}

// queueParts are the app and the environment of a queue.
func queueParts(queue string) (app, environment string) {
	at := strings.LastIndexByte(queue, '/')
	if at < 0 {
		return queue, ""
	}
	return queue[:at], queue[at+1:]
}

type spoolListCommand struct {
	spoolFlags `embed:""`
	appFlag    `embed:""`
	JSON       bool `name:"json" help:"Print an object a line: {\"app\",\"environment\",\"records\",\"bytes\",\"oldest\":epoch,\"expires\":epoch}; without expires if none does."`
}

// Help is the command's example.
func (spoolListCommand) Help() string {
	return `Shows, for each app and environment of APNs, how many notifications wait, the disk
space they take, when the oldest came and when the next one expires. While the
gateway runs its metrics say the same: apnsbridge_store_spool_queue_waiting.

Example:

  apnsbridge spool list --config apnsbridge.yaml --app mail`
}

// Run prints the list.
func (c spoolListCommand) Run(ctx context.Context, std streams) error {
	var list []boltstore.SpoolListing
	err := c.with(func(s *boltstore.Spool) (err error) {
		list, err = c.list(ctx, s)
		return err
	})
	if err != nil && !errors.Is(err, boltstore.ErrNoSpool) {
		return err
	}
	switch {
	case c.JSON:
		return writeJSON(std.out, list)
	case len(list) == 0:
		_, err := fmt.Fprintln(std.out, "no notifications wait")
		return err
	}
	return writeTable(std.out, list)
}

func writeJSON(to io.Writer, list []boltstore.SpoolListing) error {
	encoder := json.NewEncoder(to)
	for _, l := range list {
		line := struct {
			App         string `json:"app"`
			Environment string `json:"environment"`
			Records     int    `json:"records"`
			Bytes       int64  `json:"bytes"`
			Oldest      int64  `json:"oldest"`
			Expires     int64  `json:"expires,omitempty"`
		}{Records: l.Records, Bytes: l.Bytes, Oldest: l.Oldest.Unix()}
		line.App, line.Environment = queueParts(l.Queue)
		if !l.Expires.IsZero() {
			line.Expires = l.Expires.Unix()
		}
		if err := encoder.Encode(line); err != nil {
			return err
		}
	}
	return nil
}

func writeTable(to io.Writer, list []boltstore.SpoolListing) error {
	table := tabwriter.NewWriter(to, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "APP\tENVIRONMENT\tRECORDS\tBYTES\tOLDEST\tNEXT EXPIRES")
	for _, l := range list {
		app, environment := queueParts(l.Queue)
		expires := "never"
		if !l.Expires.IsZero() {
			expires = l.Expires.Format(time.RFC3339)
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%s\t%s\n", app, environment, l.Records, l.Bytes, l.Oldest.Format(time.RFC3339), expires)
	}
	return table.Flush()
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
	return c.with(func(s *boltstore.Spool) error {
		list, err := c.list(ctx, s)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			_, err := fmt.Fprintln(std.out, "no notifications wait")
			return err
		}
		if !c.Yes {
			if err := writeTable(std.out, list); err != nil {
				return err
			}
			return usageError{errors.New("these are thrown away with --yes")}
		}
		for _, l := range list {
			n, err := s.Purge(ctx, l.Queue)
			fmt.Fprintf(std.out, "%s: %d notifications are thrown away\n", l.Queue, n)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

type spoolImportCommand struct {
	spoolFlags   `embed:""`
	SkipDoubtful bool   `help:"Leave out notifications that may have been delivered: where the file would say so is damaged."`
	File         string `arg:"" placeholder:"FILE" help:"A spool.db that was set aside, or a copy of one."`
}

// Help is the command's example.
func (spoolImportCommand) Help() string {
	return `Takes over every notification that can still be recognised in a file that was
damaged and set aside, if it has not expired: all, or with an error none. They
are delivered when the gateway starts, behind what waits already. The file then
gets .imported behind its name, so that it is not imported again.

Example:

  apnsbridge spool import --config apnsbridge.yaml data/spool.db.damaged-20261122T100000Z`
}

// Run imports.
func (c spoolImportCommand) Run(ctx context.Context, std streams) error {
	err := c.with(func(s *boltstore.Spool) error {
		got, err := s.Import(ctx, c.File, !c.SkipDoubtful)
		if err != nil {
			return err
		}
		fmt.Fprintf(std.out, "%d notifications are imported\n", got.Put)
		for _, line := range []struct {
			n    int
			what string
		}{
			{got.Doubted, "of these may have been delivered before: where the file would say so is damaged"},
			{got.Left, "are left out, because they may have been delivered before"},
			{got.Done, "were delivered before"},
			{got.Expired, "have expired"},
			{got.Lost, "are damaged"},
			{got.Heads, "groups of 1 to 1,024 have lost their beginning, and cannot be read"},
			{got.Unread, "pages cannot be read from the disk"},
		} {
			if line.n > 0 {
				fmt.Fprintf(std.out, "%d %s\n", line.n, line.what)
			}
		}
		if got.Broken {
			fmt.Fprintln(std.out, "parts of the file are gone: there may have been more than can be known")
		}
		return nil
	})
	if errors.Is(err, boltstore.ErrNoSpool) {
		err = fmt.Errorf("%w: start the gateway once, which makes one, and stop it", err)
	}
	return err
}

type spoolCompactCommand struct {
	spoolFlags `embed:""`
}

// Help is the command's example.
func (spoolCompactCommand) Help() string {
	return `Writes spool.db anew without the space that is free in it: it grows with what
waits, and does not shrink by itself. Until that is done both files are there.

Example:

  apnsbridge spool compact --config apnsbridge.yaml`
}

// Run compacts.
func (c spoolCompactCommand) Run(std streams) error {
	dir, _, err := c.dir()
	if err != nil {
		return err
	}
	before, after, err := boltstore.CompactSpool(dir)
	if err != nil {
		return err
	}
	fmt.Fprintf(std.out, "spool.db had %d bytes and has %d\n", before, after)
	return nil
}
