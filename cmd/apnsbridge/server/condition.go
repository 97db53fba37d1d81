package server

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"apnsbridge/bridge"
	"apnsbridge/cmd/apnsbridge/metrics"
	"apnsbridge/gateway/identity"
)

// condition is the health of the gateway.
type condition struct {
	ready    bool     // new providers are welcome
	state    string   // a word or a sentence; "" if problems say it all
	fault    bool     // state needs the operator's attention
	problems []string // one sentence each
}

// condition returns the gateway's health. It is ready for new providers until it stops, as
// long as the store can be written and APNs serves any app. Files that were damaged, and the
// one with damaged notifications, are problems until they are removed.
func (s *Service) condition(stopping bool) condition { return s.conditionBy(s.snapshot(), stopping) }

// conditionBy is condition by a snapshot.
func (s *Service) conditionBy(m *metrics.Snapshot, stopping bool) condition {
	problems, unwritable := m.Troubles, s.unwritable()
	c := condition{ready: !stopping && unwritable == nil && s.servesAny() && (s.fleet == nil || s.fleet.member.Ready())}
	switch {
	case stopping:
		c.state = "stopping"
	case unwritable != nil:
		c.state, c.fault = fmt.Sprintf("%s: %v", storeFull, unwritable), true
	case s.fleet != nil && !s.fleet.member.Ready():
		c.state, c.fault = "this node has no lease, and another has: see whether it reaches PostgreSQL", true
	case len(problems) == 0:
		c.state = "ok"
	}
	for _, app := range slices.Sorted(maps.Keys(problems)) {
		c.problems = append(c.problems, app+": "+identity.ClipTo(problems[app], 500))
	}
	if trouble := s.lines.Trouble(); trouble != "" {
		c.problems = append(c.problems, trouble)
	}
	kept := s.current.Load().kept
	for _, app := range slices.Sorted(maps.Keys(kept)) {
		c.problems = append(c.problems, app+" keeps the credential it had: "+
			strings.ReplaceAll(kept[app].Error(), "\n", "; "))
	}
	c.problems = append(c.problems, s.fleet.sentences()...)
	c.problems = append(c.problems, s.sandbox.sentences(s.current.Load())...)
	c.problems = append(c.problems, s.current.Load().dryRunSentences(m.Bridge)...)
	damaged, err := s.store.Damaged()
	for _, path := range damaged {
		c.problems = append(c.problems, path+" was damaged and set aside: move it away when you have seen to it")
	}
	if spool := m.Store.Spool; spool.Kept != "" {
		c.problems = append(c.problems, fmt.Sprintf("notifications that waited on disk were damaged, and are lost: %d; "+
			"what is left of them is in %s: move it away when you have seen to it", spool.Broken, spool.Kept))
	}
	if err != nil {
		c.problems = append(c.problems, fmt.Sprintf("the store's directory cannot be read: %v", err))
	}
	return c
}

// writeWord answers /readyz to clients that may know only whether the gateway is ready.
func (c condition) writeWord(w http.ResponseWriter) {
	if c.ready {
		fmt.Fprintln(w, "ok")
		return
	}
	w.WriteHeader(http.StatusServiceUnavailable)
	fmt.Fprintln(w, "unready")
}

// write answers /readyz.
func (c condition) write(w http.ResponseWriter) {
	if !c.ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	if c.state != "" {
		fmt.Fprintln(w, c.state)
	}
	for _, problem := range c.problems {
		fmt.Fprintln(w, problem)
	}
}

// servesAny reports whether APNs serves any app, or a part of it.
func (s *Service) servesAny() bool {
	return slices.ContainsFunc(s.current.Load().apps, func(app bridge.App) bool {
		return isServed(app) && s.bridge.Serves(app.Name)
	})
}

// troubles returns, for each app that APNs does not serve, why not.
func (s *Service) troubles(stats bridge.Stats) map[string]string {
	troubles := s.bridge.ProblemsBy(stats)
	if troubles == nil {
		troubles = make(map[string]string)
	}
	for app, reason := range s.current.Load().held {
		troubles[app] = strings.ReplaceAll(reason.Error(), "\n", "; ")
	}
	return troubles
}
