package bench

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"apnsbridge/store"
	"apnsbridge/store/pgstore"
	"apnsbridge/store/storetest"
)

// sharedSpool starts a PostgreSQL and returns the spool of a node that has an app there, and
// a connection to the server.
func sharedSpool(t testing.TB, settings ...string) (*pgstore.Spool, *pgx.Conn) {
	t.Helper()
	server, err := storetest.StartPostgres(settings...)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(server.Stop)
	c := pgstore.Config{URL: server.URL(), Node: "gw1", SpoolBytes: 16 << 30}
	if err := pgstore.Setup(ctx, c); err != nil {
		t.Fatal(err)
	}
	s, err := pgstore.Open(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if _, err := s.Leases().Join(ctx, store.FleetNode{Name: "gw1"}, time.Hour); err != nil {
		t.Fatal(err)
	}
	epoch, err := s.Leases().Claim(ctx, app)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Spool().Own(ctx, app, epoch); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(ctx, server.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(ctx) })
	return s.Spool(), conn
}

// BenchmarkSharedSpoolThrough is BenchmarkSpoolThrough with PostgreSQL, one Put after
// another; its CPU time does not include the server's.
func BenchmarkSharedSpoolThrough(b *testing.B) {
	for _, batch := range []int{1, 64, 256, 1024} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			s, _ := sharedSpool(b)
			next, last := spoolBatch(linesIn, 0, batch), spoolBatch(linesIn, batch, batch)
			if err := s.Put(ctx, last); err != nil {
				b.Fatal(err)
			}
			before := presentUsage()
			for b.Loop() {
				var ending sync.WaitGroup
				ending.Go(func() { s.Done(last.Line, lineKeys(last)...) })
				again(next)
				if err := s.Put(ctx, next); err != nil {
					b.Fatal(err)
				}
				ending.Wait()
				next, last = last, next
			}
			perRecord(b, before, batch*b.N)
		})
	}
}

// What goes through the shared spool leaves nothing behind: its tables soon have a size
// beyond which they do not grow, however much comes. With -long ten million notifications go
// through, and the test fails if the tables are larger at the end than at half time.
func TestSharedSpoolDoesNotBloat(t *testing.T) {
	const batch = 1000
	count := 100_000
	if *long {
		count = 10_000_000
	}
	s, conn := sharedSpool(t, "autovacuum_naptime=5s")
	size := func() (bytes int64) {
		t.Helper()
		if err := conn.QueryRow(ctx, "select pg_total_relation_size('apnsbridge.spool_log')").Scan(&bytes); err != nil {
			t.Fatal(err)
		}
		return bytes
	}
	began := time.Now()
	half, most := int64(0), int64(0)
	last := spoolBatch(linesIn, 0, 0)
	for from := 0; from < count; from += batch {
		next := spoolBatch(linesIn, from, batch)
		if err := s.Put(ctx, next); err != nil {
			t.Fatal(err)
		}
		s.Done(linesIn, lineKeys(last)...)
		last = next
		if from%50_000 != 0 {
			continue
		}
		if most = max(most, size()); from < count/2 {
			half = most
		}
	}
	s.Done(linesIn, lineKeys(last)...)
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	var rows int
	if err := conn.QueryRow(ctx, "select count(*) from apnsbridge.spool_log").Scan(&rows); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d of 300 bytes in %v; the table has had %d MiB at most, %d MiB in the first half", count,
		time.Since(began).Round(time.Second), most>>20, half>>20)
	if rows != 0 {
		t.Errorf("%d rows are left when all notifications are done", rows)
	}
	if *long && most > half+half/4 {
		t.Errorf("the table has grown from %d to %d bytes", half, most)
	}
}
