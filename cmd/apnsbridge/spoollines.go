package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"apnsbridge/cmd/apnsbridge/config"
	"apnsbridge/cmd/apnsbridge/page"
	"apnsbridge/store"
)

// appFlag selects lines.
type appFlag struct {
	App string `placeholder:"NAME" help:"Of this app only; with /production or /sandbox behind it, of this environment only."`
}

// of gives the lines that are selected.
func (a appFlag) of(all []store.LineWaiting) (list []store.LineWaiting) {
	for _, l := range all {
		if a.App == "" || a.App == l.App || a.App == l.App+"/"+l.Environment {
			list = append(list, l)
		}
	}
	return list
}

// sayNone says that none of all is selected, and of which apps there are any.
func (a appFlag) sayNone(out io.Writer, all []store.LineWaiting) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(out, "no notifications wait")
		return err
	}
	var apps []string
	for _, l := range all {
		apps = append(apps, l.App+"/"+l.Environment)
	}
	slices.Sort(apps)
	_, err := fmt.Fprintf(out, "no notifications of %s wait, but some of %s\n", config.Clip(a.App), config.Few(slices.Compact(apps)))
	return err
}

// topicName is the topic of a line, as the operator is told.
func topicName(l store.Line) string {
	if l.Topic == "" {
		return "(configured)"
	}
	return l.Topic
}

func writeJSON(to io.Writer, list []store.LineWaiting) error {
	encoder := json.NewEncoder(to)
	for _, l := range list {
		if err := encoder.Encode(struct {
			App         string `json:"app"`
			Environment string `json:"environment"`
			Topic       string `json:"topic"`
			Records     int    `json:"records"`
			Queued      int    `json:"queued"`
			Bytes       int64  `json:"bytes"`
			Since       int64  `json:"since"`
		}{l.App, l.Environment, l.Topic, l.Log + l.Queued, l.Queued, l.Bytes, l.Since}); err != nil {
			return err
		}
	}
	return nil
}

func writeTable(to io.Writer, list []store.LineWaiting) error {
	table := tabwriter.NewWriter(to, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "APP\tENVIRONMENT\tTOPIC\tRECORDS\tQUEUED\tSIZE\tNONE BEFORE")
	for _, l := range list {
		since := time.Unix(l.Since, 0).UTC().Format(time.RFC3339)
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.App, l.Environment, topicName(l.Line),
			page.Number(l.Log+l.Queued), page.Number(l.Queued), page.Bytes(l.Bytes), since)
	}
	return table.Flush()
}
