package pgstore

import (
	"context"
	"flag"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"apnsbridge/store"
	"apnsbridge/store/storetest"
)

var long = flag.Bool("long", false, "run the long rounds")

var (
	ctx    = context.Background()
	server *storetest.Postgres // shared by all tests of the package, see needServer
	places atomic.Int64
)

// patience ends a test that waits for something that does not come, however busy the machine is.
const patience = 2 * time.Minute

// needServer starts the server when the first test needs it. Where PostgreSQL cannot be had,
// the test is skipped with the reason.
func needServer(t testing.TB) {
	t.Helper()
	if err := startServer(); err != nil {
		t.Skip(err)
	}
}

var startServer = sync.OnceValue(func() (err error) {
	server, err = storetest.StartPostgres()
	return err
})

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if !*long {
		_ = flag.Set("rapid.checks", "6") // each takes some hundred transactions
		_ = flag.Set("rapid.steps", "20")
		_ = flag.Set("test.parallel", "16") // they wait for locks and leases more than for a processor
	}
	code := m.Run()
	if server != nil {
		server.Stop()
	}
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// newSchema makes a schema that is dropped at the end of the test, and returns how to reach
// it.
func newSchema(t testing.TB) Config {
	t.Helper()
	needServer(t)
	c := Config{URL: server.URL(), Schema: fmt.Sprintf("place%d", places.Add(1)), Node: "gw1", Follow: time.Hour}
	if err := Setup(ctx, c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { execute(t, c, "drop schema "+c.Schema+" cascade") })
	return c
}

// connect returns a connection to the schema of c that is closed with the test.
func connect(t testing.TB, c Config) *pgx.Conn {
	t.Helper()
	config, err := c.connect()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(ctx) })
	return conn
}

// execute runs statements in the schema of c.
func execute(t testing.TB, c Config, sql string) {
	t.Helper()
	if _, err := connect(t, c).Exec(ctx, sql); err != nil {
		t.Fatal(err)
	}
}

// waitFor repeats a query until its answer is true.
func waitFor(t testing.TB, c Config, question string) {
	t.Helper()
	conn := connect(t, c)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		var answer bool
		if err := conn.QueryRow(ctx, question).Scan(&answer); err != nil {
			t.Fatal(err)
		}
		if answer {
			return
		}
	}
	t.Fatalf("timed out waiting until: %s", question)
}

func open(t testing.TB, c Config) *Store {
	t.Helper()
	s, err := Open(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// former has, for each test, the stores that it has opened in its latest place: storetest makes
// many places, one after another, and each store has connections, so they are closed early.
var former struct {
	sync.Mutex
	of map[*testing.T][]*Store
}

// formerOf returns the former stores of a test.
func formerOf(t *testing.T) []*Store {
	former.Lock()
	defer former.Unlock()
	return former.of[t]
}

// setFormer sets the former stores of a test.
func setFormer(t *testing.T, stores []*Store) {
	former.Lock()
	defer former.Unlock()
	if former.of == nil {
		former.of = make(map[*testing.T][]*Store)
	}
	former.of[t] = stores
}

func closeFormer(t *testing.T) {
	for _, s := range formerOf(t) {
		s.Close()
	}
	setFormer(t, nil)
}

// place makes a schema in which stores are opened one after another; part picks the part to test.
func place[S any](t *testing.T, part func(*Store) S) storetest.Place[S] {
	closeFormer(t)
	c := newSchema(t)
	var last *Store
	return func(s storetest.Settings) S {
		if last != nil {
			if err := last.Leases().Leave(ctx); err != nil {
				t.Fatal(err)
			}
			last.Close()
		}
		c.FeedbackEntries, c.FeedbackAge, c.Now = s.Entries, s.Age, s.Now
		last = open(t, c)
		setFormer(t, append(formerOf(t), last))
		return part(last)
	}
}

func TestFeedback(t *testing.T) {
	t.Parallel()
	storetest.Feedback(t, func(t *testing.T) storetest.Place[store.Feedback] {
		return place(t, func(s *Store) store.Feedback { return s.Feedback() })
	})
}

func TestLedger(t *testing.T) {
	t.Parallel()
	storetest.Ledger(t, func(t *testing.T) storetest.Place[store.Ledger] {
		return place(t, func(s *Store) store.Ledger { return s.Ledger("mail", claimed(t, s, "mail")) })
	})
}

// claimed joins the fleet and claims an app.
func claimed(t testing.TB, s *Store, app string) (epoch uint64) {
	t.Helper()
	if _, err := s.Leases().Join(ctx, store.FleetNode{}, time.Hour); err != nil {
		t.Fatal(err)
	}
	epoch, err := s.Leases().Claim(ctx, app)
	if err != nil {
		t.Fatal(err)
	}
	return epoch
}
