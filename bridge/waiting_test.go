package bridge

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestWaitingSendsEachAtItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWaiting()
		done, ended := make(chan struct{}), make(chan struct{})
		start := time.Now()
		type sending struct {
			r  *record
			at time.Duration
		}
		var got []sending
		go func() {
			defer close(ended)
			w.run(done, func(r *record) { got = append(got, sending{r, time.Since(start)}) })
		}()
		late, early, past := new(record), new(record), new(record)
		w.add(late, start.Add(2*time.Second))
		synctest.Wait()
		w.add(early, start.Add(time.Second))
		w.add(past, start.Add(-time.Second))
		synctest.Wait()
		if n := w.len(); n != 2 {
			t.Errorf("%d wait, want 2", n)
		}
		time.Sleep(time.Minute)
		close(done)
		<-ended
		want := []sending{{past, 0}, {early, time.Second}, {late, 2 * time.Second}}
		if len(got) != len(want) {
			t.Fatalf("%d were sent, want %d", len(got), len(want))
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("sending %d came after %v, want %v", i, got[i].at, want[i].at)
			}
		}
	})
}
