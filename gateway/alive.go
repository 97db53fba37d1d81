package gateway

import (
	"context"
	"fmt"

	"github.com/panjf2000/gnet/v2"
)

// Alive has every event loop that ever had a connection answer, and returns when
// all have. If ctx ends before, the error says how many have not: something
// blocks them. A server that is being closed has no more to say, and is alive.
func (s *Server) Alive(ctx context.Context) error {
	s.mu.Lock()
	var loops []*loop
	if !s.closing {
		for _, l := range s.loops {
			loops = append(loops, l)
		}
	}
	s.mu.Unlock()
	answers := make(chan struct{}, len(loops))
	answer := gnet.RunnableFunc(func(context.Context) error {
		answers <- struct{}{}
		return nil
	})
	for _, l := range loops {
		if err := l.Execute(ctx, answer); err != nil {
			return fmt.Errorf("gateway: event loop: %w", err)
		}
	}
	for n := range loops {
		select {
		case <-answers:
		case <-ctx.Done():
			return fmt.Errorf("gateway: %d of %d event loops do not answer: %w", len(loops)-n, len(loops), ctx.Err())
		}
	}
	return nil
}
