package gateway

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestCrew: the member that did the last job does the next. A member that has had none for long
// is gone, and so are all when the crew is dismissed.
func TestCrew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := new(crew)
		idle := func() []*member {
			synctest.Wait() // for who looks after them
			c.mu.Lock()
			defer c.mu.Unlock()
			return slices.Clone(c.idle)
		}
		together := func(n int) { // at work
			end := make(chan struct{})
			for range n {
				c.do(func() { <-end })
			}
			synctest.Wait()
			close(end)
			synctest.Wait()
		}
		together(3)
		first := idle()
		if len(first) != 3 {
			t.Fatalf("%d members did three jobs at a time", len(first))
		}
		if together(1); len(idle()) != 3 || idle()[2] != first[2] {
			t.Error("another member than the last used was used")
		}
		time.Sleep(idleMember + time.Second)
		if together(2); len(idle()) != 3 {
			t.Errorf("%d members are left, want all", len(idle()))
		}
		if time.Sleep(idleMember); len(idle()) != 2 {
			t.Errorf("%d members are left, want the two that were used", len(idle()))
		}
		if time.Sleep(2 * idleMember); len(idle()) != 0 {
			t.Errorf("%d members are left that nothing uses", len(idle()))
		}
		together(1)
		done := false
		c.do(func() { done = true })
		if c.dismiss(); !done || len(idle()) != 0 {
			t.Errorf("dismissed; the last job is done: %v, %d members are left", done, len(idle()))
		}
	})
}
