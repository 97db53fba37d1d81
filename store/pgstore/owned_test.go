package pgstore

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"apnsbridge/store"
	"apnsbridge/store/storetest"
)

// fleet makes processes that share the schema of c.
func fleet(t *testing.T, c Config) storetest.Fleet {
	return func(node string) storetest.Process {
		c := c
		c.Node = node
		return process(open(t, c))
	}
}

func process(s *Store) storetest.Process {
	return storetest.Process{
		Leases: s.Leases(),
		Ledger: func(app string, epoch uint64) store.Ledger { return s.Ledger(app, epoch) },
		Spool:  s.Spool(),
	}
}

// alter replaces parts of a function of the schema of c; parts are pairs of old and new text.
func alter(t *testing.T, c Config, name string, parts ...string) {
	t.Helper()
	all := schemaSQL + roundsSQL
	create := "create function " + name + "("
	last := strings.LastIndex(all, create)
	if last < 0 {
		t.Fatalf("the schema has no function %s", name)
	}
	text, _, _ := strings.Cut(all[last+len(create):], "end $$;")
	for i := 0; i < len(parts); i += 2 {
		if strings.Count(text, parts[i]) != 1 {
			t.Fatalf("function %s has %q %d times, want once", name, parts[i], strings.Count(text, parts[i]))
		}
		text = strings.Replace(text, parts[i], parts[i+1], 1)
	}
	execute(t, c, "create or replace function "+name+"("+text+"end $$;")
}

// dawdling makes some writes wait after the fence, so that takeovers come in between if they
// can.
var dawdling = []string{"for share;\n    if found then\n",
	"for share;\n    if found then\n      perform pg_sleep(0.15 * random()) where random() < 0.2;\n"}

func TestOwned(t *testing.T) {
	t.Parallel()
	takeovers := 40
	if *long {
		takeovers = 200
	}
	storetest.Owned(t, takeovers, func(t *testing.T) storetest.Fleet {
		c := newSchema(t)
		if strings.HasSuffix(t.Name(), "takeovers") {
			alter(t, c, "fence", dawdling...)
		}
		return fleet(t, c)
	})
}

// A fence that only locks "for key share" is found to be wrong: so it is no accident that the
// right one passes.
func TestFenceForKeyShare(t *testing.T) {
	t.Parallel()
	seen := false
	for i := 0; i < 10 && !seen; i++ {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			c := newSchema(t)
			alter(t, c, "fence", append(dawdling, "for share", "for key share")...)
			found := storetest.Takeovers(fleet(t, c), 40)
			t.Log(found)
			seen = found.Late > 0
		})
	}
	if !seen {
		t.Error("no write of an old epoch was committed after a claim: the test would not find a wrong fence")
	}
}

// A slow claim gets a higher epoch than one that came and went meanwhile. If epochs came
// from a sequence, which is read before the row is locked, it would get a lower one.
func TestEpochOfADawdlingClaim(t *testing.T) {
	t.Parallel()
	const dawdle = "  until timestamptz;\nbegin\n  if who = 'gw1' then " + dawdles + " end if;\n"
	for _, tt := range []struct {
		name   string
		change []string
		grows  bool
	}{
		{"of the row", []string{"  until timestamptz;\nbegin\n", dawdle}, true},
		{"of a sequence", []string{
			"  until timestamptz;\nbegin\n", "  n bigint := nextval('epochs');\n" + dawdle,
			"epoch = a.epoch + 1", "epoch = n",
			"epoch := a.epoch + 1", "epoch := n",
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newSchema(t)
			execute(t, c, "create sequence epochs")
			alter(t, c, "claim", tt.change...)
			f := fleet(t, c)
			gw1, gw2 := f("gw1"), f("gw2")
			join(t, gw1, time.Hour)
			join(t, gw2, time.Hour)
			goOn := hold(t, c)
			late := make(chan uint64)
			go func() {
				epoch, err := gw1.Leases.Claim(ctx, "mail")
				if err != nil {
					t.Error(err)
				}
				late <- epoch
			}()
			drawn(t, c)
			early, err := gw2.Leases.Claim(ctx, "mail")
			if err != nil {
				t.Fatal(err)
			}
			if err := gw2.Leases.Leave(ctx); err != nil {
				t.Fatal(err)
			}
			goOn()
			if epoch := <-late; (epoch > early) != tt.grows {
				t.Errorf("the slow claim got epoch %d, and the quick one before it %d", epoch, early)
			}
		})
	}
}

func join(t *testing.T, p storetest.Process, lease time.Duration) {
	t.Helper()
	if _, err := p.Leases.Join(ctx, store.FleetNode{}, lease); err != nil {
		t.Fatal(err)
	}
}

// dawdles makes a function of a test's schema wait for as long as the schema is held. Its
// connection has a name meanwhile by which drawn finds it.
const dawdles = "perform set_config('application_name', 'dawdling in ' || current_schema(), false); " +
	"perform pg_advisory_lock_shared(hashtext(current_schema()::text)); " +
	"perform pg_advisory_unlock_shared(hashtext(current_schema()::text));"

// hold makes functions that dawdle in the schema of c wait until goOn is called.
func hold(t *testing.T, c Config) (goOn func()) {
	t.Helper()
	conn := connect(t, c)
	say := func(what string) {
		t.Helper()
		if _, err := conn.Exec(ctx, "select "+what+"(hashtext(current_schema()::text))"); err != nil {
			t.Fatal(err)
		}
	}
	say("pg_advisory_lock")
	return func() { t.Helper(); say("pg_advisory_unlock") }
}

// dawdlingIn is SQL for the server process that dawdles in the schema of c.
func dawdlingIn(c Config) string {
	return "(select pid from pg_stat_activity where wait_event = 'advisory' and " +
		"application_name = 'dawdling in " + c.Schema + "')"
}

// drawn waits until a function of the schema of c dawdles.
func drawn(t *testing.T, c Config) {
	t.Helper()
	waitFor(t, c, "select exists "+dawdlingIn(c))
}

// A claim waits for a renewal that is being committed, though the lease that everybody can
// see has run out. A claim that did not lock the lease would get the app while its owner is
// told that it still has it.
func TestClaimDuringRenewal(t *testing.T) {
	t.Parallel()
	const lease = 2 * time.Second
	for _, tt := range []struct {
		name   string
		change []string
		taken  bool
	}{
		{"that locks the lease", nil, true},
		{"that only looks", []string{"where name = a.node for share", "where name = a.node"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newSchema(t)
			alter(t, c, "claim", tt.change...)
			f := fleet(t, c)
			gw1, gw2 := f("gw1"), f("gw2")
			join(t, gw1, time.Hour)
			join(t, gw2, time.Hour)
			if _, err := gw1.Leases.Claim(ctx, "mail"); err != nil {
				t.Fatal(err)
			}
			alter(t, c, "renew", "  return found;",
				"  if not found then return false; end if;\n  if lease >= interval '1 hour' then "+dawdles+
					" end if;\n  return true;")
			goOn := hold(t, c)
			if _, err := gw1.Leases.Renew(ctx, store.FleetNode{}, lease); err != nil { // once all is there, however long that took
				t.Fatal(err)
			}
			renewed := make(chan error)
			go func() {
				v, err := gw1.Leases.Renew(ctx, store.FleetNode{}, time.Hour)
				if err == nil && (len(v.Apps) != 1 || v.Apps[0].Node != "gw1") {
					err = fmt.Errorf("the view has %v", v.Apps)
				}
				renewed <- err
			}()
			drawn(t, c)
			waitFor(t, c, "select not exists (select from node where name = 'gw1' and expires > clock_timestamp())")
			claimed := make(chan error, 1)
			go func() {
				_, err := gw2.Leases.Claim(ctx, "mail")
				claimed <- err
			}()
			var err error
			if tt.taken { // the claim waits for the renewal
				waitFor(t, c, "select exists (select from pg_stat_activity where pg_blocking_pids(pid) && array"+dawdlingIn(c)+")")
				goOn()
				err = <-claimed
			} else {
				err = <-claimed
				goOn()
			}
			if taken := errors.As(err, new(*store.TakenError)); taken != tt.taken {
				t.Errorf("got %v from the claim, want that the app is taken only if the claim locks the lease", err)
			}
			if err := <-renewed; (err == nil) != tt.taken {
				t.Errorf("got %v from the renewal, want success only if the claim locks the lease", err)
			}
		})
	}
}

// A node that was stopped in the middle of a write holds its locks for as long as its
// kernel answers. That does not hold up the node that takes over.
func TestClaimFromAStoppedOwner(t *testing.T) {
	t.Parallel()
	c := newSchema(t)
	f := fleet(t, c)
	gw1, gw2 := f("gw1"), f("gw2")
	join(t, gw1, time.Hour)
	join(t, gw2, time.Hour)
	epoch, err := gw1.Leases.Claim(ctx, "mail")
	if err != nil {
		t.Fatal(err)
	}
	stopped := connect(t, c) // as gw1
	for _, sql := range []string{"set idle_in_transaction_session_timeout = 0", "begin",
		fmt.Sprintf("select fence('mail', 'gw1', %d)", epoch)} {
		if _, err := stopped.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := gw1.Leases.Leave(ctx); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if epoch, err := gw2.Leases.Claim(ctx, "mail"); epoch != 2 || err != nil {
		t.Errorf("got epoch %d and error %v, want 2", epoch, err)
	}
	t.Logf("it took %v", time.Since(began))
	if _, err := stopped.Exec(ctx, "commit"); err == nil {
		t.Error("the write of the old epoch was committed")
	}
}
