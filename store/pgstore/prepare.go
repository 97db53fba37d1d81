package pgstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// ErrAway means that the engine could not be reached. That may pass: as far as is known, nothing
// is wrong with the configuration.
var ErrAway = errors.New("PostgreSQL cannot be reached")

// preparation is what has to succeed before anything else is asked of the engine. One attempt
// runs at a time, in a goroutine of its own, for callers may give up earlier: loading a long
// feedback list can take longer than a lease.
type preparation struct {
	ctx context.Context // of the attempts
	end context.CancelFunc
	wg  sync.WaitGroup

	mu       sync.Mutex
	done     bool
	attempt  *attempt // nil: none runs
	warnings []string
}

// attempt is an attempt to prepare a Store. err is valid once ended is closed.
type attempt struct {
	ended chan struct{}
	err   error
}

// prepareTimeout is how long an attempt may take.
const prepareTimeout = 5 * time.Minute

// Prepare checks that the engine can be used and has the schema of this program, and loads
// the index of the feedback lists. It does nothing if that has succeeded before.
func (s *Store) Prepare(ctx context.Context) error {
	p := &s.preparation
	p.mu.Lock()
	if p.done {
		p.mu.Unlock()
		return nil
	}
	a := p.attempt
	if a == nil {
		a = &attempt{ended: make(chan struct{})}
		p.attempt = a
		p.wg.Go(func() {
			ctx, cancel := context.WithTimeout(p.ctx, prepareTimeout)
			defer cancel()
			warnings, err := s.prepare(ctx)
			p.mu.Lock()
			a.err, p.done, p.attempt, p.warnings = err, err == nil, nil, warnings
			p.mu.Unlock()
			close(a.ended)
		})
	}
	p.mu.Unlock()
	select {
	case <-a.ended:
		return a.err
	case <-ctx.Done():
		return fmt.Errorf("%w: it does not answer: %w", ErrAway, ctx.Err())
	}
}

func (s *Store) prepare(ctx context.Context) (warnings []string, err error) {
	pool := s.engine.pool
	if err := pool.Ping(ctx); err != nil {
		if isMistake(err) {
			return nil, fmt.Errorf("PostgreSQL does not take this node: %w", err)
		}
		return nil, fmt.Errorf("%w: %w", ErrAway, err)
	}
	if warnings, err = checkServer(ctx, pool); err != nil {
		return nil, err
	}
	if err := checkSchema(ctx, pool, s.config.Schema); err != nil {
		return nil, err
	}
	return warnings, s.feedback.load(ctx, s.config.Follow)
}

// isMistake reports whether a server has refused a connection for a reason that will not
// pass by itself.
func isMistake(err error) bool {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		return false
	}
	const shuttingDownOrStarting, tooMany = "57P", "53300"
	return !strings.HasPrefix(refused.Code, shuttingDownOrStarting) && refused.Code != tooMany
}

// Warnings are sentences about settings of the server that its operator should
// reconsider.
func (s *Store) Warnings() []string {
	s.preparation.mu.Lock()
	defer s.preparation.mu.Unlock()
	return s.preparation.warnings
}

// stop cancels an attempt that is under way and waits for its end.
func (p *preparation) stop() {
	p.end()
	p.wg.Wait()
}
