package endtoend

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"apnsbridge/cmd/apnsbridge/servertest"
)

// repetitions counts how often each process has asked again because it had no
// answer.
type repetitions struct {
	c      *chaos
	client http.Client

	mu     sync.Mutex
	counts []repetition
}

// repetition is the count of a process at the time when APNs had judged upTo pushes.
type repetition struct{ count, upTo int }

// countRepetitions counts until the test ends.
func countRepetitions(c *chaos) *repetitions {
	r := &repetitions{c: c, client: http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	var watching sync.WaitGroup
	done := make(chan struct{})
	c.T.Cleanup(func() { close(done); watching.Wait() })
	watching.Go(func() {
		for tick := time.NewTicker(20 * time.Millisecond); ; {
			select {
			case <-tick.C:
				r.look()
			case <-done:
				return
			}
		}
	})
	return r
}

// look reads the count of the present process, if there is one.
func (r *repetitions) look() {
	process, upTo := int(r.c.number.Load()), r.c.Sim.Stats().Received
	response, err := r.client.Get("http://" + r.c.Admin + "/metrics")
	if err != nil {
		return
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || process != int(r.c.number.Load()) {
		return
	}
	var count float64 // the metric does not exist until something was repeated
	const name = `apnsbridge_notifications_ambiguous_total{app="demo",environment="production"} `
	if _, after, ok := strings.Cut(string(text), "\n"+name); ok {
		if _, err := fmt.Sscan(after, &count); err != nil {
			return
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.counts) <= process {
		r.counts = append(r.counts, repetition{})
	}
	r.counts[process] = repetition{int(count), upTo}
}

// check checks that no process had more accepted twice than it had asked for again without
// an answer.
func (r *repetitions) check(t *testing.T, twice map[int][]arrival) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	asked, doubled, late := 0, 0, 0
	for process, last := range r.counts {
		known := 0
		for _, a := range twice[process] {
			if a.seq <= last.upTo {
				known++
			}
		}
		if known > last.count {
			t.Errorf("process %d asked %d times without an answer, and delivered %d twice", process, last.count, known)
		}
		asked += last.count
		doubled += len(twice[process])
		late += len(twice[process]) - known
	}
	t.Logf("%d were asked for again without an answer, and %d accepted twice, %d of them after the last count of a process", asked, doubled, late)
	if asked == 0 && !servertest.Raced { // under the race detector, at a tenth of the rate, there may be none
		t.Error("no answer was lost")
	}
}

// When APNs' answers are lost too, only notifications without an answer are delivered
// twice, and only those given up after two requests without an answer are lost. Both are
// counted.
func TestChaosInDoubt(t *testing.T) {
	t.Parallel()
	c := newChaos(t, "overflow", 300*time.Millisecond)
	asked := countRepetitions(c)
	listed := c.run(t, slices.Concat(certain, doubtful), false)
	arrivals := c.arrivals(t)
	var all books
	for _, p := range c.resenders {
		all.count(t, p, arrivals, listed)
	}
	t.Logf("%d accepted, %d named, %d listed, %d lost of %d that were given up",
		all.accepted, all.named, all.listed, len(all.lost), c.gaveUp)
	if len(all.lost) > c.gaveUp {
		t.Errorf("%d are lost, and %d were given up", len(all.lost), c.gaveUp)
	}
	r := findRepeats(t, c.ends, arrivals)
	if len(r.doubled) > 0 {
		t.Errorf("%d notifications were sent again, and not recognised, such as number %d", len(r.doubled), r.doubled[0])
	}
	asked.check(t, r.twice)
	checkOrder(t, c.world)
}
