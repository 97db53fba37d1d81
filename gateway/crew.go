package gateway

import (
	"sync"
	"time"
)

// crew are the goroutines that handshakes run on. They are kept for a while, for
// a handshake needs a stack of many times that which a goroutine begins with; a
// connection that waits for its turn keeps its small one.
type crew struct {
	work      chan func()
	dismissed chan struct{}
	dismiss   func() // ends the members when they have nothing left to do; waits for them
	members   sync.WaitGroup
}

// idleMember is how long a member of the crew waits for work.
const idleMember = 5 * time.Second

func newCrew() *crew {
	c := &crew{work: make(chan func()), dismissed: make(chan struct{})}
	c.dismiss = sync.OnceFunc(func() {
		close(c.dismissed)
		c.members.Wait()
	})
	return c
}

// do runs f on a member, and returns when it has ended.
func (c *crew) do(f func() error) (err error) {
	done := make(chan struct{})
	job := func() {
		defer close(done)
		err = f()
	}
	select {
	case c.work <- job:
	default:
		c.members.Go(func() { c.serve(job) })
	}
	<-done
	return err
}

func (c *crew) serve(job func()) {
	job()
	patience := time.NewTimer(idleMember)
	defer patience.Stop()
	for {
		select {
		case job := <-c.work:
			job()
			patience.Reset(idleMember)
		case <-patience.C:
			return
		case <-c.dismissed:
			return
		}
	}
}
