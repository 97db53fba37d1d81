//go:build unix

package endtoend

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/fleet"
)

// With always, a node that has lost its lease stops reading and says why. Everything arrives
// once, as the app comes back to the node that had it.
func TestFleetLooseAlways(t *testing.T) {
	t.Parallel()
	server := ownPostgres(t)
	n := newNodesOn(t, server, usualLatency, spoolAll+"\n")
	other, first := n.add(shortLease), n.add(shortLease)
	n.acquaint(other, first)
	first.owns(t) // the app would not fall to this node by itself
	var epoch uint64
	servertest.WaitFor(t, "it sees its own claim", func() bool {
		epoch = first.epoch()
		return epoch > 0
	})
	_, of, end := steady(t, first, other)
	n.more(t, 300)
	server.Kill()
	servertest.WaitFor(t, "the app is loose", func() bool { return first.place() == fleet.Loose })
	servertest.WaitFor(t, "it says why it stops reading", func() bool {
		_, text := first.Ask(t, http.MethodGet, "/readyz", nil)
		return strings.Contains(text, "always")
	})
	before := n.sim.Stats().Accepted
	<-time.After(time.Second) // enough to take a thousand
	if more := n.sim.Stats().Accepted - before; more > 100 {
		t.Errorf("%d were forwarded that are not committed", more)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	servertest.WaitFor(t, "it has it again", func() bool { return first.place() == fleet.Here })
	if got := first.epoch(); got != epoch {
		t.Errorf("the app is in epoch %d, and was in %d: it was another's meanwhile", got, epoch)
	}
	n.more(t, 300)
	end()
	n.settle(t, first, of...)
}

// Readers of both nodes get nothing while the app is loose, and everything afterwards.
func TestFleetLooseReaders(t *testing.T) {
	t.Parallel()
	server := ownPostgres(t)
	n := newNodesOn(t, server, usualLatency, "")
	first, second := n.pair(shortLease)
	first.pushEach(t, servertest.Token("dead", 1), servertest.Token("ab", 1))
	first.Await("the good one arrives", func(s apnssim.Stats) bool { return s.Accepted == 1 })
	server.Kill()
	servertest.WaitFor(t, "loose", func() bool { return first.place() == fleet.Loose })
	for _, w := range []*world{first, second} {
		if got := w.listed(t); len(got) > 0 {
			t.Errorf("a reader got %d tuples", len(got))
		}
	}
	first.pushEach(t, servertest.Token("dead", 2), servertest.Token("ab", 2))
	second.pushEach(t, servertest.Token("dead", 3), servertest.Token("ab", 3))
	first.Await("the good ones arrive", func(s apnssim.Stats) bool { return s.Accepted == 3 })
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	servertest.WaitFor(t, "one has it", oneHas(first, second))
	waitListed(t, "all", func(listed map[string]bool) bool { return len(listed) == 3 }, first, second)
}

// PostgreSQL takes no writes for a while.
func TestFleetEngineReadOnly(t *testing.T) {
	inLong(t)
	t.Parallel()
	server := ownPostgres(t)
	n := newNodesOn(t, server, usualLatency, "")
	first, second := n.pair(shortLease)
	_, of, end := steady(t, first, second)
	n.more(t, 300)
	n.sql(t, "alter system set default_transaction_read_only = on")
	n.sql(t, "select pg_reload_conf()")
	servertest.WaitFor(t, "the app is loose", func() bool { return first.place() == fleet.Loose })
	n.more(t, 500)
	if !first.ready() || !second.ready() {
		t.Error("a node is out of service")
	}
	n.sql(t, "set default_transaction_read_only = off", "alter system reset default_transaction_read_only")
	n.sql(t, "select pg_reload_conf()")
	servertest.WaitFor(t, "one has it", oneHas(first, second))
	n.more(t, 500)
	end()
	n.settle(t, first, of...)
}

// PostgreSQL takes nothing but leases: nothing can be put into the spool, the ledger and the lists.
func TestFleetEngineFull(t *testing.T) {
	inLong(t)
	eachMode(t, func(t *testing.T, n *nodes, mode string) {
		first, second := n.pair(shortLease)
		_, of, end := steady(t, first, second)
		n.more(t, 300)
		n.sql(t, `create function full_up() returns trigger language plpgsql as
					$$ begin raise exception 'full' using errcode='53100'; end $$;
				create trigger f before insert or update on spool_log for each row execute function full_up();
				create trigger f before insert or update on spool_queue for each row execute function full_up();
				create trigger f before insert or update on ledger for each row execute function full_up();
				create trigger f before insert or update on feedback for each row execute function full_up();`)
		if mode == "overflow" {
			n.more(t, 500)
		} else {
			servertest.WaitFor(t, "it says so", func() bool {
				return strings.Contains(first.Log.Whole(), "the spool cannot be written")
			})
		}
		n.sql(t, "drop function full_up() cascade")
		n.more(t, 500)
		end()
		n.settle(t, first, of...)
	})
}

// PostgreSQL needs half a second for each row that is written. An app whose state cannot be written
// in time stays where it is until PostgreSQL is faster.
func TestFleetEngineSlow(t *testing.T) {
	inLong(t)
	t.Parallel()
	n := newNodes(t, usualLatency, "")
	first, second := n.pair(shortLease)
	_, of, end := steady(t, first, second)
	n.more(t, 300)
	n.sql(t, `create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(0.5); return new; end $$;
		create trigger f before insert or update on spool_log for each row execute function slow();
		create trigger f before insert or update on ledger for each row execute function slow();
		create trigger f before insert or update on node for each row execute function slow();
		create trigger f before insert or update on app for each row execute function slow();
		create trigger f before insert or update on feedback for each row execute function slow();`)
	n.more(t, 1500)
	status, said := first.move(t, "gw2")
	if status == http.StatusOK || !strings.Contains(said, "PostgreSQL takes too long") {
		t.Error(status, said)
	}
	if first.place() != fleet.Here {
		t.Errorf("the app is %v", first.place())
	}
	n.more(t, 500)
	n.sql(t, "drop function slow() cascade")
	servertest.WaitFor(t, "it moves", func() bool {
		status, _ := first.move(t, "gw2")
		return status == http.StatusOK
	})
	servertest.WaitFor(t, "the second has it", func() bool { return second.place() == fleet.Here })
	n.more(t, 500)
	end()
	n.settle(t, first, of...)
}

// PostgreSQL is killed under load and comes back, at once or after leases have run out.
func TestFleetEngineRestarts(t *testing.T) {
	inLong(t)
	for _, mode := range []string{"overflow", "always"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			server := ownPostgres(t)
			n := newNodesOn(t, server, usualLatency, "spool: {mode: "+mode+"}\n")
			first, second := n.pair(shortLease)
			_, of, end := steady(t, first, second)
			for _, atOnce := range []bool{true, true, true, false, false, false} {
				n.more(t, 500)
				server.Kill()
				if !atOnce {
					servertest.WaitFor(t, "the app is loose", func() bool { return first.place() == fleet.Loose })
				}
				if err := server.Start(); err != nil {
					t.Fatal(err)
				}
				servertest.WaitFor(t, "it has it again", func() bool { return first.place() == fleet.Here })
			}
			n.more(t, 500)
			end()
			n.settle(t, first, of...)
		})
	}
}

// All connections to PostgreSQL are ended again and again.
func TestFleetEngineEndsConnections(t *testing.T) {
	inLong(t)
	t.Parallel()
	server := ownPostgres(t)
	n := newNodesOn(t, server, usualLatency, spoolAll+"\n")
	first, second := n.pair(shortLease)
	_, of, end := steady(t, first, second)
	for range 30 {
		n.more(t, 50)
		n.sql(t, "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'apnsbridge:%'")
	}
	servertest.WaitFor(t, "one has it", oneHas(first, second))
	end()
	n.settle(t, first, of...)
}

// The schema is dropped while nodes run, and made again.
func TestFleetEngineSchemaDropped(t *testing.T) {
	inLong(t)
	t.Parallel()
	server := ownPostgres(t)
	n := newNodesOn(t, server, usualLatency, "")
	first, second := n.pair(shortLease)
	_, of, end := steady(t, first, second)
	n.more(t, 300)
	n.sql(t, "drop schema "+n.engine.Schema+" cascade")
	servertest.WaitFor(t, "loose", func() bool { return first.place() == fleet.Loose })
	n.more(t, 500)
	code, out, errs := first.Apnsbridge("", "check", "--setup", "--config", first.Path("apnsbridge.yaml"))
	if code != 0 {
		t.Error(code, out, errs)
	}
	servertest.WaitFor(t, "one has it", oneHas(first, second))
	n.more(t, 300)
	end()
	n.settle(t, first, of...)
}

// PostgreSQL refuses the nodes' connections for a while, and ends the existing ones.
func TestFleetEngineRefuses(t *testing.T) {
	inLong(t)
	t.Parallel()
	server := ownPostgres(t)
	n := newNodesOn(t, server, usualLatency, "")
	url := n.engine.URL
	n.sql(t, "create role gateway login", "grant all on schema "+n.engine.Schema+" to gateway",
		"grant all on all tables in schema "+n.engine.Schema+" to gateway",
		"grant all on all sequences in schema "+n.engine.Schema+" to gateway")
	n.engine.URL = strings.Replace(url, "postgres@", "gateway@", 1)
	first, second := n.pair(shortLease)
	n.engine.URL = url
	_, of, end := steady(t, first, second)
	n.more(t, 300)
	n.sql(t, "alter role gateway connection limit 0",
		"select pg_terminate_backend(pid) from pg_stat_activity where usename = 'gateway'")
	servertest.WaitFor(t, "loose", func() bool { return first.place() == fleet.Loose })
	n.more(t, 500)
	n.sql(t, "alter role gateway connection limit 100")
	servertest.WaitFor(t, "one has it", oneHas(first, second))
	n.more(t, 300)
	end()
	n.settle(t, first, of...)
}
