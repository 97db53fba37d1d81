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

// ErrAway says that the engine could not be reached. That may pass; nothing is wrong with
// the configuration as far as is known.
var ErrAway = errors.New("PostgreSQL cannot be reached")

// preparation is what comes before all else is asked of the engine. One attempt at a time
// runs beside those who wait for it: to load a long feedback list takes longer than a
// lease.
type preparation struct {
	ctx context.Context // of attempts
	end context.CancelFunc
	wg  sync.WaitGroup

	mu       sync.Mutex
	done     bool
	attempt  *attempt // nil: none runs
	warnings []string
}

// attempt is one to prepare a Store. err is of use once ended is closed.
type attempt struct {
	ended chan struct{}
	err   error
}

// prepareTimeout is how long an attempt may take.
const prepareTimeout = 5 * time.Minute

// Prepare looks whether the engine is one that can be used and has the schema of this
// program, and loads the feedback lists' index. It does nothing if that was done.
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

// isMistake reports whether a server has refused a connection for a reason that does not
// pass by itself.
func isMistake(err error) bool {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		return false
	}
	const shuttingDownOrStarting, tooMany = "57P", "53300"
	return !strings.HasPrefix(refused.Code, shuttingDownOrStarting) && refused.Code != tooMany
}

// Warnings are sentences about settings of the server that its operator should think
// over.
func (s *Store) Warnings() []string {
	s.preparation.mu.Lock()
	defer s.preparation.mu.Unlock()
	return s.preparation.warnings
}

// stop ends what is under way.
func (p *preparation) stop() {
	p.end()
	p.wg.Wait()
}
