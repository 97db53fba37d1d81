package findings

import (
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/mattn/go-isatty"

	"apnsbridge/cmd/apnsbridge/quoting"
)

// fewApps are as many in order as are listed one by one.
const fewApps = 20

// Print writes alarms and warnings, the table, and how many problems there are not. The
// problems are printed before, as serve prints them.
func (f *Findings) Print(out io.Writer) error { return f.print(out, painter(out)) }

func (f *Findings) print(out io.Writer, paint painting) error {
	for _, a := range f.Alarms {
		fmt.Fprintf(out, "%s %s\n", paint(red, "alarm:"), quoting.Terminal(a.Text))
	}
	for _, w := range f.Warnings {
		fmt.Fprintf(out, "%s %s\n", paint(yellow, "warning:"), quoting.Terminal(w.Text))
	}
	if err := f.printTable(out, paint); err != nil || len(f.Problems) > 0 {
		return err
	}
	_, err := fmt.Fprintf(out, "%s: no problems%s%s\n", quoting.Terminal(f.Config), counted(", alarms: ", len(f.Alarms)),
		counted(", warnings: ", len(f.Warnings)))
	return err
}

// printTable writes a line for each app that has trouble, and for the others too if
// they are few; else it counts them. Addresses are told of like these.
func (f *Findings) printTable(out io.Writer, paint painting) error {
	listed, ok := f.Apps, slices.IndexFunc(f.Apps, func(app App) bool { return app.State == "ok" })
	if ok >= 0 && len(f.Apps)-ok > fewApps {
		listed = f.Apps[:ok]
	}
	if len(listed) > 0 {
		table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintf(table, "%s\tAPP\tTOPIC\tENVIRONMENT\tCREDENTIAL\n", paint(uncolored, "STATE"))
		for _, app := range listed {
			environment, credential := app.Environment, app.Credential
			if app.DryRun {
				environment += ", dry run"
			}
			if app.APNs != "" {
				credential += "; " + app.APNs
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", paint(stateColors[app.State], app.State), quoting.Terminal(app.Name),
				quoting.Terminal(app.Topic), environment, quoting.Terminal(credential))
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	if rest := f.Apps[len(listed):]; len(rest) > 0 {
		what := "apps"
		if len(listed) > 0 {
			what = "other apps"
		}
		printCounts(out, what, rest)
	}
	free := 0
	for _, l := range f.Listeners {
		if l.State == Free {
			free++
		} else {
			fmt.Fprintf(out, "%s %s: %s\n", l.Setting, quoting.Terminal(l.Address), l.State)
		}
	}
	if free > 0 {
		fmt.Fprintf(out, "addresses that are free: %d\n", free)
	}
	if f.Postgres != "" {
		fmt.Fprintf(out, "store.postgres: %s\n", quoting.Terminal(f.Postgres))
	}
	return nil
}

// printCounts says of many apps what they have in common.
func printCounts(out io.Writer, what string, apps []App) {
	certificates, taken, soonest := 0, 0, ""
	for _, app := range apps {
		if app.APNs != "" {
			taken++
		}
		if app.Expires != "" {
			certificates++
			if soonest == "" || app.Expires < soonest {
				soonest = app.Expires
			}
		}
	}
	fmt.Fprintf(out, "%s: %d%s%s", what, len(apps), counted(", with a token: ", len(apps)-certificates),
		counted(", with a certificate: ", certificates))
	if certificates > 0 {
		fmt.Fprintf(out, ", of which the first expires on %s", soonest)
	}
	fmt.Fprintf(out, "%s\n", counted(", which APNs takes: ", taken))
}

// counted is n with words before it, nothing where there is nothing to count.
func counted(words string, n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%s%d", words, n)
}

// The colours, of two digits each: so a table's first column is as wide in each line.
const (
	red       = 31
	green     = 32
	yellow    = 33
	uncolored = 39
)

var stateColors = map[string]int{"problem": red, "alarm": red, "warning": yellow, "ok": green}

// painting colours a word.
type painting func(color int, word string) string

// painter colours on a terminal only.
func painter(out io.Writer) painting {
	file, ok := out.(interface{ Fd() uintptr })
	if !ok || !isatty.IsTerminal(file.Fd()) || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return func(_ int, word string) string { return word }
	}
	return paintAlways
}

func paintAlways(color int, word string) string {
	return fmt.Sprintf("\x1b[1;%dm%s\x1b[0m", color, word)
}
