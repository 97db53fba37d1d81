package report

import (
	"fmt"
	"time"
)

// Connected notes that a client was admitted to either port with a version of TLS;
// empty: it was terminated in front.
func (r *Report) Connected(version string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.use(version, r.now())
}

// use notes that a version of TLS is used now. The caller holds r.mu.
func (r *Report) use(version string, now time.Time) {
	if version != "" {
		r.used[version] = now
	}
}

// Sentences say what an operator can make of it. minVersion is the least version of TLS
// that is admitted, as the configuration has it.
func (r *Report) Sentences(minVersion string) (all []string) {
	providers := r.Providers()
	r.mu.Lock()
	defer r.mu.Unlock()
	since := r.now().Add(-days * 24 * time.Hour)
	if r.began.After(since) {
		return nil // too early to tell
	}
	for _, version := range []string{"TLS 1.0", "TLS 1.1"} {
		if "TLS "+minVersion > version {
			continue
		}
		if r.used[version].After(since) {
			break
		}
		all = append(all, fmt.Sprintf("no provider has used %s for %d days: tls.min_version can go up", version, days))
	}
	here, deaf := 0, 0
	for _, p := range providers {
		if p.Last.After(since) {
			here++
			if p.Feedback.Before(since) {
				deaf++
			}
		}
	}
	if deaf > 0 {
		all = append(all, fmt.Sprintf("%d of %d providers have not read their feedback for %d days: they go on pushing "+
			"to devices that are gone", deaf, here, days))
	}
	return all
}
