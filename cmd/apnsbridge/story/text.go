package story

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
)

// Tell plays the story and writes what each side saw, and the first frame of each
// command byte by byte.
func (s *Stage) Tell(ctx context.Context, out io.Writer) error {
	onward := func(context.Context) error { return nil }
	explained := make(map[string]bool) // commands
	return s.Play(ctx, onward, func(c Chapter, seen []Event) error {
		if _, err := fmt.Fprintf(out, "%d. %s\n\n", c.Number, c.Text); err != nil {
			return err
		}
		for _, e := range seen {
			if len(e.Fields) > 0 {
				if command := e.Fields[0].Value; explained[command] {
					e.Fields = nil
				} else {
					explained[command] = true
				}
			}
			if err := writeEvent(out, e); err != nil {
				return err
			}
		}
		_, err := fmt.Fprintln(out)
		return err
	})
}

func writeEvent(out io.Writer, e Event) error {
	if _, err := fmt.Fprintf(out, "   %-9s %s\n", e.Who, e.Text); err != nil {
		return err
	}
	for _, f := range e.Fields {
		if _, err := fmt.Fprintf(out, "             %-17s  %-14s  %s\n", f.Bytes, f.Name, f.Value); err != nil {
			return err
		}
	}
	return nil
}

// since returns the events from first on, each act in the order in which a
// notification comes by the sides.
func (s *Stage) since(first int) []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	var seen []Event
	for _, e := range s.events {
		if e.Seq >= first {
			seen = append(seen, e)
		}
	}
	slices.SortStableFunc(seen, func(a, b Event) int { return cmp.Or(a.act-b.act, int(a.Who-b.Who)) })
	return seen
}
