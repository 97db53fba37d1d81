// Package pgstore keeps in PostgreSQL what a fleet of gateways must remember together.
// Its tables, and the functions that decide which node has an app, are in schema.sql.
//
// What belongs to an app (its ledger, with habits and guards; its spool) is written by
// the node that has the app, in the epoch in which it claimed it: each such transaction
// begins with a fence, and fails with store.ErrNotOurs if the app has moved on. A write
// is a single round trip, so that a node that is paused does not hold a lock.
// Feedback lists belong to all nodes: of two times for one token the later stays,
// whichever is written first.
//
// A commit without an answer is in doubt. Everything that is written here can be written again,
// and a write that was given up is refused if it reaches the server after others that came in its
// stead (see rounds).
package pgstore

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"apnsbridge/bridge/defaults"
	"apnsbridge/store"
)

// Config says where the engine is, who we are, and how much may be kept. A bound that is
// zero has its default from package defaults.
type Config struct {
	URL      string // as libpq takes it; several hosts are tried in turn
	Password string // empty: the one in URL
	Schema   string // of the fleet; empty: "apnsbridge"
	Node     string // our name, at most store.MaxNodeName bytes

	FeedbackEntries int           // on the list of one app
	FeedbackAge     time.Duration // how long an entry stays after it was listed
	SpoolBytes      int64         // for the waiting records of this node's apps
	SpoolReserve    int64         // bytes beyond SpoolBytes, for moves only
	Follow          time.Duration // interval at which to learn what other nodes have listed; 0 is a second

	// Fenced is called when the spool, which writes by itself what is done, is refused because
	// another node has the app. It may be nil.
	Fenced func()

	Now func() time.Time // the clock for everything but leases; nil is time.Now
}

// DefaultSchema is the schema of a fleet that names none.
const DefaultSchema = "apnsbridge"

// connect checks the configuration and fills in its defaults.
func (c *Config) connect() (*pgxpool.Config, error) {
	if c.Schema == "" {
		c.Schema = DefaultSchema
	}
	if !schemaName.MatchString(c.Schema) {
		return nil, fmt.Errorf("%.70q cannot name a schema: use small letters, digits and _", c.Schema)
	}
	if len(c.Node) > store.MaxNodeName || strings.ContainsAny(c.Node, ":\x00") {
		return nil, fmt.Errorf("%.40q cannot name a node: use at most %d bytes without a colon", c.Node,
			store.MaxNodeName)
	}
	c.FeedbackEntries = cmp.Or(c.FeedbackEntries, defaults.FeedbackEntries)
	c.FeedbackAge = cmp.Or(c.FeedbackAge, defaults.FeedbackAge)
	c.SpoolBytes = cmp.Or(c.SpoolBytes, defaults.SpoolBytes)
	c.SpoolReserve = cmp.Or(c.SpoolReserve, defaults.SpoolReserve)
	if c.Follow == 0 {
		c.Follow = time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	config, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		return nil, fmt.Errorf("store.postgres.url: %w", err) // pgx's error leaves passwords out
	}
	if c.Password != "" {
		config.ConnConfig.Password = c.Password
	}
	// Not a standby: it may show commits in another order than its primary.
	config.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
	for name, value := range map[string]string{
		"application_name":                    fmt.Sprintf("apnsbridge:%s:%s", c.Node, rand.Text()[:8]),
		"search_path":                         c.Schema,
		"synchronous_commit":                  "on",
		"default_transaction_isolation":       "read committed", // a statement sees what the fence has waited for
		"idle_in_transaction_session_timeout": "5s",
		"statement_timeout":                   "60s",
	} {
		config.ConnConfig.RuntimeParams[name] = value
	}
	return config, nil
}

// connectTimeout is the timeout for one host if the URL does not set one.
const connectTimeout = 5 * time.Second

// Store is a node's part in what a fleet remembers.
type Store struct {
	config      Config
	engine      *engine
	preparation preparation
	leases      *Leases
	feedback    *Feedback
	spool       *Spool
}

// Open returns a Store that is prepared. Its errors are written for the operator.
func Open(ctx context.Context, c Config) (*Store, error) {
	s, err := New(c)
	if err != nil {
		return nil, err
	}
	if err := s.Prepare(ctx); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// New returns a Store that has yet to be prepared: until then it refuses all requests. A node
// joins the fleet once that is done.
func New(c Config) (*Store, error) {
	config, err := c.connect()
	if err != nil {
		return nil, err
	}
	e, err := newEngine(context.Background(), config)
	if err != nil {
		return nil, err
	}
	s := &Store{config: c, engine: e, feedback: newFeedback(e, c), spool: newSpool(e, c)}
	s.leases = &Leases{engine: e, node: c.Node, prepare: s.Prepare}
	s.preparation.ctx, s.preparation.end = context.WithCancel(context.Background())
	return s, nil
}

// Leases is this node's part in who has which app.
func (s *Store) Leases() *Leases { return s.leases }

// Feedback is the fleet's lists of dead devices.
func (s *Store) Feedback() *Feedback { return s.feedback }

// Ledger is the log that stores the resend ledger of an app that this node has claimed in
// an epoch.
func (s *Store) Ledger(app string, epoch uint64) *Ledger {
	return &Ledger{engine: s.engine, now: s.config.Now, owner: owner{app, s.config.Node, epoch}}
}

// Spool is the waiting notifications of the apps that this node has.
func (s *Store) Spool() *Spool { return s.spool }

// Close waits for requests that are under way and ends the connections; if the server does not
// answer, it waits for that for at most two seconds. Later requests fail with store.ErrClosed.
func (s *Store) Close() error {
	s.preparation.stop()
	s.spool.close()
	s.feedback.close()
	s.engine.close()
	return nil
}
