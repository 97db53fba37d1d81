package gateway

import (
	"context"
	"fmt"

	"github.com/panjf2000/gnet/v2"
)

// Alive asks every event loop that ever had a connection for an answer, and returns
// when all have answered. If ctx ends before that, the error says how many have not:
// something blocks them. A server that is being closed counts as alive.
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
