package report

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// saved is a report as it is written down.
type saved struct {
	Began     time.Time            `json:"began"`
	Used      map[string]time.Time `json:"tls_last_used"`
	Reads     []Read               `json:"feedback_reads"`
	Providers []Provider           `json:"providers"`
}

// Marshal returns all that is known, for Load.
func (r *Report) Marshal() ([]byte, error) {
	providers := r.Providers()
	r.mu.Lock()
	s := saved{r.began, maps.Clone(r.used), slices.Collect(maps.Values(r.reads)), providers}
	r.mu.Unlock()
	return json.Marshal(s)
}

// Load takes what Marshal has returned, before the first connection.
func (r *Report) Load(text []byte) error {
	var s saved
	if err := json.Unmarshal(text, &s); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !s.Began.IsZero() && s.Began.Before(r.began) {
		r.began = s.Began
	}
	for version, at := range s.Used {
		if at.After(r.used[version]) {
			r.used[version] = at
		}
	}
	for _, read := range s.Reads[:min(len(s.Reads), most)] {
		r.reads[reader{read.App, read.Client}] = read
	}
	for _, p := range s.Providers[:min(len(s.Providers), most)] {
		if p.Verdicts == 0 { // written by a version that did not count them, which would make the ratio 1
			p.BadTokens = 0
		}
		p.live = make(map[*Conn]Habits)
		r.by[keyOf(&p.Who, p.Kind)] = &p
	}
	return nil
}
