package upstream

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// In a dry run every push is accepted, unless Begin stops it. The answer comes from another
// goroutine, because a lane sends under its lock.
func TestDryRun(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	var mu sync.Mutex
	var wg sync.WaitGroup
	begun, accepted := 0, 0
	d := &DryRun{
		Now: func() time.Time { return now },
		Begin: func(p *Push, at time.Time) bool {
			mu.Lock()
			defer mu.Unlock()
			if begun++; begun%3 == 0 {
				wg.Done()
				return false
			}
			return at.Equal(now)
		},
		Answered: func(_ *Push, v Verdict, at time.Time) {
			mu.Lock()
			defer mu.Unlock()
			if fmt.Sprint(v) != fmt.Sprint(Verdict{Class: Accepted}) || !at.Equal(now) {
				t.Errorf("%+v at %v", v, at)
			}
			accepted++
			wg.Done()
		},
	}
	const count = 300
	mu.Lock()
	for i := range count {
		wg.Add(1)
		d.Send(note(deviceToken(goodDevice, i), hello))
	}
	mu.Unlock()
	wg.Wait()
	d.Renew("")
	d.Retire()
	if mu.Lock(); begun != count || accepted != count-count/3 {
		t.Errorf("%d begun, %d accepted", begun, accepted)
	}
	mu.Unlock()
}
