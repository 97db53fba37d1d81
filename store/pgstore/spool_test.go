package pgstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"apnsbridge/store"
	"apnsbridge/store/storetest"
)

// claiming is a spool that claims an app when something is put for it, because the tests in
// storetest.Spool know nothing of owners.
type claiming struct {
	*Spool
	t      testing.TB
	leases *Leases
}

func (s claiming) Put(ctx context.Context, batches ...store.SpoolBatch) error {
	for _, b := range batches {
		s.Spool.mu.Lock()
		owned := s.Spool.apps[b.Line.App] != nil
		s.Spool.mu.Unlock()
		if !owned && len(b.Records) > 0 && checkLine(b.Line) == nil && ctx.Err() == nil {
			own(s.t, s.Spool, s.leases, b.Line.App)
		}
	}
	return s.Spool.Put(ctx, batches...)
}

// own claims an app and loads its spool.
func own(t testing.TB, s *Spool, leases *Leases, app string) (epoch uint64) {
	t.Helper()
	epoch, err := leases.Claim(ctx, app)
	if err == nil {
		err = s.Own(ctx, app, epoch)
	}
	if err != nil {
		t.Fatal(err)
	}
	return epoch
}

// spoolPlace makes a schema in which spools live one after another.
func spoolPlace(t *testing.T) storetest.SpoolPlace {
	closeFormer(t)
	c := newSchema(t)
	var last *Store
	start := func(s storetest.Settings) store.Spool {
		if last != nil { // so that the next can claim its apps, though the last may go on running
			if err := last.Leases().Leave(ctx); err != nil {
				t.Fatal(err)
			}
		}
		c.SpoolBytes, c.SpoolReserve, c.Now = s.Spool, s.Reserve, s.Now
		if len(formerOf(t)) > 4 {
			closeFormer(t)
		}
		last = open(t, c)
		setFormer(t, append(formerOf(t), last))
		v, err := last.Leases().Join(ctx, store.FleetNode{}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range v.Apps {
			own(t, last.Spool(), last.Leases(), a.Name)
		}
		return claiming{last.Spool(), t, last.Leases()}
	}
	return storetest.SpoolPlace{
		Open: func(s storetest.Settings) store.Spool {
			if last != nil {
				last.spool.close()
			}
			return start(s)
		},
		Kill: start,
	}
}

func TestSpool(t *testing.T) {
	t.Parallel()
	storetest.Spool(t, spoolPlace)
}

// cut is a proxy to the server that can lose answers: the server does what it is asked, and
// its answer never comes.
type cut struct {
	dir  string
	deaf atomic.Bool
}

func newCut(t *testing.T) *cut {
	c := &cut{}
	c.dir = startProxy(t, func(client, server net.Conn) (requests, answers func()) {
		return func() { _, _ = io.Copy(server, client) }, func() {
			for b := make([]byte, 64<<10); ; {
				n, err := server.Read(b)
				if err != nil || c.deaf.Load() {
					return
				}
				if _, err := client.Write(b[:n]); err != nil {
					return
				}
			}
		}
	})
	return c
}

// A commit whose answer never comes is in doubt. Records that are put again are there once,
// and those that are not put again are not there.
func TestSpoolInDoubt(t *testing.T) {
	t.Parallel()
	for _, again := range []bool{true, false} {
		t.Run(fmt.Sprintf("put again %v", again), func(t *testing.T) {
			c, way := newSchema(t), newCut(t)
			direct := c
			c.URL = fmt.Sprintf("postgres://postgres@/postgres?host=%s&port=5432&pool_max_conns=1", way.dir)
			s := open(t, c)
			join(t, process(s), time.Hour)
			own(t, s.Spool(), s.Leases(), "mail")
			line := store.Line{App: "mail", Environment: "production"}
			warmUp(t, s.Spool(), line) // so that a Put below is one round trip
			first := []store.SpoolRecord{{SpoolKey: store.SpoolKey{Token: []byte("a")}, Body: []byte("0")},
				{SpoolKey: store.SpoolKey{Token: []byte("b")}, Body: []byte("1")}}
			put := func(records ...store.SpoolRecord) error {
				return s.Spool().Put(ctx, store.SpoolBatch{Line: line, Records: records})
			}
			if err := s.Spool().Put(ctx, store.SpoolBatch{Line: line, Records: first}); err != nil {
				t.Fatal(err)
			}
			moved := first[0]
			moved.Queued = true
			doubtful := []store.SpoolRecord{
				{SpoolKey: store.SpoolKey{Token: []byte("c")}, Body: []byte("2")},
				moved,
				{SpoolKey: store.SpoolKey{Token: []byte("d"), Queued: true}, Body: []byte("3")},
			}
			way.deaf.Store(true)
			if err := put(doubtful...); err == nil || errors.Is(err, store.ErrNotOurs) {
				t.Fatalf("got %v, want an error that leaves the commit in doubt", err)
			}
			waitFor(t, direct, "select count(*) = 2 from spool_log") // it was committed
			way.deaf.Store(false)
			want, wantQueues := "0 1 4", ""
			if again {
				if err := put(doubtful...); err != nil {
					t.Fatal(err)
				}
				want, wantQueues = "1 2 4", "0 3"
			}
			if err := put(store.SpoolRecord{SpoolKey: store.SpoolKey{Token: []byte("e")},
				Body: []byte("4")}); err != nil {
				t.Fatal(err)
			}
			direct.Node = "gw2"
			there := open(t, direct)
			join(t, process(there), time.Hour)
			if err := s.Leases().Leave(ctx); err != nil {
				t.Fatal(err)
			}
			own(t, there.Spool(), there.Leases(), "mail")
			list, err := there.Spool().Take(ctx, line, 99, 1<<20)
			if got := bodies(list); got != want || err != nil {
				t.Errorf("got %q from the log and error %v, want %q", got, err, want)
			}
			list = nil
			for _, token := range []string{"a", "d"} {
				queue, err := there.Spool().TakeOf(ctx, line, []byte(token), 99, 1<<20)
				if err != nil {
					t.Fatal(err)
				}
				list = append(list, queue...)
			}
			if got := bodies(list); got != wantQueues {
				t.Errorf("got %q from the queues, want %q", got, wantQueues)
			}
		})
	}
}

// A Flush returns no earlier than what was done before it is written, even if another Flush is
// writing it already: the app may be given away then, and the other Flush be refused.
func TestFlushWaitsForAnother(t *testing.T) {
	t.Parallel()
	c := newSchema(t)
	alter(t, c, "fence", "begin\n", "begin\n  "+dawdles+"\n")
	s := open(t, c)
	join(t, process(s), time.Hour)
	own(t, s.Spool(), s.Leases(), "mail")
	line := store.Line{App: "mail", Environment: "production"}
	list := []store.SpoolRecord{{SpoolKey: store.SpoolKey{Token: []byte("a")}, Body: []byte("0")}}
	if err := s.Spool().Put(ctx, store.SpoolBatch{Line: line, Records: list}); err != nil {
		t.Fatal(err)
	}
	goOn := hold(t, c)
	s.Spool().Done(line, list[0].SpoolKey)
	drawn(t, c) // the spool's own Flush, which comes soon
	soon, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if err := s.Spool().Flush(soon); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v while another Flush is writing, want to wait for it until the context ends", err)
	}
	goOn()
	if err := s.Spool().Flush(ctx); err != nil {
		t.Fatal(err)
	}
	var left int
	if err := connect(t, c).QueryRow(ctx, "select count(*) from spool_log").Scan(&left); err != nil || left > 0 {
		t.Errorf("%d rows are left after a Flush, want none: %v", left, err)
	}
}

// A write of the spool's own that is refused because another node has the app is counted.
func TestFlushIsFenced(t *testing.T) {
	t.Parallel()
	c := newSchema(t)
	refused := make(chan bool, 1)
	c.Fenced = func() {
		select {
		case refused <- true:
		default:
		}
	}
	s, _ := owning(t, c)
	line := store.Line{App: "mail", Environment: "production"}
	list := []store.SpoolRecord{{Body: []byte("0")}, {Body: []byte("1")}}
	if err := s.Spool().Put(ctx, store.SpoolBatch{Line: line, Records: list}); err != nil {
		t.Fatal(err)
	}
	s.Spool().Done(line, list[0].SpoolKey)
	waitFor(t, c, "select count(*) = 1 from spool_log where gone = '\\x01'")
	select {
	case <-refused:
		t.Error("a write counts as refused while the node has the app")
	default:
	}
	if err := s.Leases().Leave(ctx); err != nil {
		t.Fatal(err)
	}
	other := c
	other.Node, other.Fenced = "gw2", nil
	owning(t, other)
	s.Spool().Done(line, list[1].SpoolKey)
	select {
	case <-refused:
	case <-time.After(patience):
		t.Error("no write of the former owner was counted as refused")
	}
}

// warmUp makes pgx prepare all statements of a Put, and leaves no records behind.
func warmUp(t *testing.T, s *Spool, line store.Line) {
	t.Helper()
	list := []store.SpoolRecord{{Body: []byte("x")}}
	for range 2 {
		if err := s.Put(ctx, store.SpoolBatch{Line: line, Records: list}); err != nil {
			t.Fatal(err)
		}
		list[0].Queued = true
		list = append(list, store.SpoolRecord{}, store.SpoolRecord{SpoolKey: store.SpoolKey{Queued: true}})
	}
	for _, r := range list {
		s.Done(line, r.SpoolKey)
	}
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}

func bodies(list []store.SpoolRecord) string {
	var all []string
	for _, r := range list {
		all = append(all, string(r.Body))
	}
	return strings.Join(all, " ")
}

// A row that cannot be read holds up nothing: its records are reported as broken, and
// those after it have their turn.
func TestSpoolBroken(t *testing.T) {
	t.Parallel()
	for _, damage := range []string{"heads = '\\xff'", "bodies = ''", "heads = '\\x'"} {
		t.Run(damage, func(t *testing.T) {
			c := newSchema(t)
			s := open(t, c)
			join(t, process(s), time.Hour)
			own(t, s.Spool(), s.Leases(), "mail")
			line := store.Line{App: "mail", Environment: "production"}
			for range 2 {
				list := []store.SpoolRecord{{SpoolKey: store.SpoolKey{Token: []byte("a")}, Body: []byte("good")},
					{SpoolKey: store.SpoolKey{Token: []byte("b")}, Body: []byte("good")}}
				if err := s.Spool().Put(ctx, store.SpoolBatch{Line: line, Records: list}); err != nil {
					t.Fatal(err)
				}
				s.Spool().Return(line, list[0].SpoolKey, list[1].SpoolKey)
			}
			execute(t, c, "update spool_log set "+damage+" where first = (select min(first) from spool_log)")
			list, err := s.Spool().Take(ctx, line, 9, 1<<20)
			if err != nil || len(list) != 4 || s.Spool().Stats().Broken != 2 {
				t.Fatalf("got %v and error %v, want 4 records of which 2 are broken", list, err)
			}
			for i, r := range list {
				if (r.Broken != nil) != (i < 2) || r.ID == 0 || i >= 2 && string(r.Body) != "good" {
					t.Errorf("got %+v as record %d, want the first two broken and the others good", r, i)
				}
				s.Spool().Done(line, r.SpoolKey)
			}
			if err := s.Spool().Flush(ctx); err != nil {
				t.Fatal(err)
			}
			waitFor(t, c, "select count(*) = 0 from spool_log")
		})
	}
}

func FuzzHeads(f *testing.F) {
	b := appendHead(nil, &store.SpoolRecord{SpoolKey: store.SpoolKey{Token: []byte("token")}, Expires: 1 << 33,
		Body: []byte("body")})
	f.Add(appendHead(b, &store.SpoolRecord{}), 2)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		heads, err := decodeHeads(b, n&0xfff)
		if err != nil {
			return
		}
		if len(heads) != n&0xfff {
			t.Fatalf("got %d heads, want %d", len(heads), n&0xfff)
		}
		var again []byte
		for _, h := range heads {
			again = appendHead(again, &store.SpoolRecord{SpoolKey: store.SpoolKey{Token: h.token}, Expires: h.expires,
				Body: make([]byte, h.body)})
		}
		if more, err := decodeHeads(again, len(heads)); err != nil || len(more) != len(heads) {
			t.Errorf("encoded again, the heads cannot be decoded: %v", err)
		}
	})
}

// BenchmarkSpoolPut measures the spool alone, with a thousand notifications of 300 bytes a Put.
func BenchmarkSpoolPut(b *testing.B) {
	s := open(b, newSchema(b))
	if _, err := s.Leases().Join(ctx, store.FleetNode{}, time.Hour); err != nil {
		b.Fatal(err)
	}
	own(b, s.Spool(), s.Leases(), "mail")
	line := store.Line{App: "mail", Environment: "production"}
	list := make([]store.SpoolRecord, 1000)
	for b.Loop() {
		for i := range list {
			list[i] = store.SpoolRecord{SpoolKey: store.SpoolKey{Token: make([]byte, 32)}, Body: make([]byte, 300)}
		}
		if err := s.Spool().Put(ctx, store.SpoolBatch{Line: line, Records: list}); err != nil {
			b.Fatal(err)
		}
		for i := range list {
			s.Spool().Done(line, list[i].SpoolKey)
		}
	}
	b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "notifications/s")
}
