package report

import (
	"cmp"
	"slices"
	"time"
)

// Read is when a client has read its feedback list last.
type Read struct {
	App     string    `json:"app"`
	Client  string    `json:"client"` // the name that logs have
	Time    time.Time `json:"time"`
	Entries int       `json:"entries"` // that it got
}

// reader is who reads a list.
type reader struct{ app, client string }

// ReadFeedback notes that a client has read its feedback list, with so many entries. Of
// more clients than there may be providers those are forgotten that read longest ago.
func (r *Report) ReadFeedback(app, client string, entries int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	who := reader{app, client}
	if _, known := r.reads[who]; !known && len(r.reads) >= most {
		var oldest reader
		for who, read := range r.reads {
			if oldest == (reader{}) || read.Time.Before(r.reads[oldest].Time) {
				oldest = who
			}
		}
		delete(r.reads, oldest)
	}
	r.reads[who] = Read{app, client, r.now(), entries}
}

// Reads gives the last read of each client of an app, the latest first.
func (r *Report) Reads(app string) (all []Read) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for who, read := range r.reads {
		if who.app == app {
			all = append(all, read)
		}
	}
	slices.SortFunc(all, func(a, b Read) int { return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(a.Client, b.Client)) })
	return all
}
