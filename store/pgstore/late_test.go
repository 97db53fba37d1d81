package pgstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"apnsbridge/store"
)

// stalling is a proxy to the server on which single connections stall: what the client sends
// over them arrives later. Requests to cancel are lost.
type stalling struct {
	dir string

	mu     sync.Mutex
	next   *stall   // of the connection that sends a write next; nil: none stalls
	stalls []*stall // that were not let go
}

// stall is what happens to one connection.
type stall struct {
	pass   int           // bytes that still arrive
	began  chan struct{} // closed when the connection stalls
	resume chan struct{} // closed when it goes on
	ended  chan struct{} // closed when the server has closed it
}

func newStalling(t *testing.T) *stalling {
	p := &stalling{}
	p.dir = startProxy(t, func(client, server net.Conn) (requests, answers func()) {
		ended := make(chan struct{})
		return func() { p.send(server, client, ended) }, func() {
			_, _ = io.Copy(client, server)
			close(ended)
		}
	})
	t.Cleanup(p.letGo)
	return p
}

// send passes on what a client sends.
func (p *stalling) send(to, from net.Conn, ended chan struct{}) {
	cancel := binary.BigEndian.AppendUint32([]byte{0, 0, 0, 16}, 80877102)
	const parse = 'P' // with which a write begins, unlike what pgx says by itself
	var own *stall
	for b := make([]byte, 64<<10); ; {
		n, err := from.Read(b)
		if err != nil || bytes.HasPrefix(b[:n], cancel) {
			return
		}
		p.mu.Lock()
		if p.next != nil && b[0] == parse {
			own, p.next = p.next, nil
			own.ended = ended
			p.stalls = append(p.stalls, own)
		}
		p.mu.Unlock()
		rest := b[:n]
		if own != nil && own.pass < n {
			if _, err := to.Write(rest[:own.pass]); err != nil {
				return
			}
			rest = rest[own.pass:]
			close(own.began)
			<-own.resume
			own = nil
		} else if own != nil {
			own.pass -= n
		}
		if _, err := to.Write(rest); err != nil {
			return
		}
	}
}

// late carries out write, whose request stalls after so many bytes, and which is then given up.
func (p *stalling) late(t *testing.T, pass int, write func(context.Context) error) {
	t.Helper()
	s := &stall{pass: pass, began: make(chan struct{}), resume: make(chan struct{})}
	p.mu.Lock()
	p.next = s
	p.mu.Unlock()
	brief, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	go func() {
		select {
		case <-s.began:
			cancel()
		case <-brief.Done():
		}
	}()
	if err := write(brief); !errors.Is(err, context.Canceled) || !inDoubt(err) {
		t.Fatalf("got %v from a write whose request stalls, want it to be in doubt", err)
	}
}

// letGo has what was held up arrive, and waits until the server has carried it out.
func (p *stalling) letGo() {
	p.mu.Lock()
	stalls := p.stalls
	p.stalls = nil
	p.mu.Unlock()
	for _, s := range stalls {
		close(s.resume)
		<-s.ended // pgx has said goodbye behind its request
	}
}

// lateWorld is a node with an app, whose writes can come late.
type lateWorld struct {
	t      *testing.T
	way    *stalling
	direct Config // without the proxy
	owner  *Store // of the app
	spool  *Spool // of the node
	ledger *Ledger
	line   store.Line
	ends   bool // the server's processes can be ended, which they cannot behind a proxy with processes of its own
}

func newLateWorld(t *testing.T) *lateWorld {
	w := &lateWorld{t: t, direct: newSchema(t), way: newStalling(t),
		line: store.Line{App: "mail", Environment: "production"}}
	c := w.direct
	// A write is one request, though its statements were not prepared.
	c.URL = fmt.Sprintf("postgres://postgres@/postgres?host=%s&port=5432&pool_max_conns=8&default_query_exec_mode=exec"+
		"&default_transaction_isolation=serializable", w.way.dir)
	w.owner, w.ledger = owning(t, c)
	w.spool = w.owner.Spool()
	w.spool.end() // it flushes nothing by itself
	w.spool.wg.Wait()
	return w
}

func (w *lateWorld) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *lateWorld) put(ctx context.Context, list ...store.SpoolRecord) error {
	return w.spool.Put(ctx, store.SpoolBatch{Line: w.line, Records: list})
}

// late carries out write, which is given up and arrives when all is let go.
func (w *lateWorld) late(write func(context.Context) error) {
	w.t.Helper()
	w.way.late(w.t, 0, write)
	if !w.ends {
		clear(w.owner.engine.rounds.late)
	}
}

func (w *lateWorld) latePut(list ...store.SpoolRecord) {
	w.t.Helper()
	w.late(func(ctx context.Context) error { return w.put(ctx, list...) })
}

func (w *lateWorld) flush() {
	w.t.Helper()
	w.must(w.spool.Flush(ctx))
}

// next has another node own the app, and returns what of it waits and is in its ledger.
func (w *lateWorld) next(node string) string {
	w.t.Helper()
	w.must(w.owner.Leases().Leave(ctx))
	c := w.direct
	c.Node = node
	s, ledger := owning(w.t, c)
	w.owner = s
	var all []string
	list, err := s.Spool().Take(ctx, w.line, 99, 1<<20)
	w.must(err)
	for _, r := range list {
		all = append(all, string(r.Body))
	}
	devices, err := s.Spool().Devices(ctx, w.line, nil, 99)
	w.must(err)
	for _, d := range devices {
		list, err := s.Spool().TakeOf(ctx, w.line, d.Token, 99, 1<<20)
		w.must(err)
		for _, r := range list {
			all = append(all, fmt.Sprintf("%s:%s%d", r.Token, r.Body, r.Flags[0]))
		}
	}
	w.must(ledger.Load(ctx, func(r store.LedgerRecord) error {
		all = append(all, fmt.Sprintf("%s=%s", r.Key, r.Value))
		return nil
	}))
	return strings.Join(all, " ")
}

func waiting(body string) store.SpoolRecord {
	return store.SpoolRecord{SpoolKey: store.SpoolKey{Token: []byte("d")}, Body: []byte(body)}
}

func queued(body string, flag byte) store.SpoolRecord {
	r := waiting(body)
	r.Queued, r.Flags[0] = true, flag
	return r
}

// A write that was given up and arrives after those that came in its stead changes nothing that
// the next owner of the app reads.
func TestLateWrites(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		do   func(w *lateWorld)
		want string // at the next owner
		harm string // the same if rounds were not looked at
	}{
		{name: "a put", do: func(w *lateWorld) {
			w.latePut(waiting("a"), queued("b", 0))
			w.flush()
		}, want: "", harm: "a d:b0"},
		{name: "a put that was put again", do: func(w *lateWorld) {
			list := []store.SpoolRecord{waiting("a")}
			w.latePut(list...)
			w.must(w.put(ctx, list...))
		}, want: "a", harm: "a a"},
		{name: "a move of what is then done", do: func(w *lateWorld) {
			list := []store.SpoolRecord{waiting("a"), waiting("b")}
			w.must(w.put(ctx, list...))
			moved := list[0]
			moved.Queued = true
			w.latePut(moved)
			w.spool.Done(w.line, list[0].SpoolKey)
			w.flush()
		}, want: "b", harm: "b d:a0"},
		{name: "a move of what then stays", do: func(w *lateWorld) {
			list := []store.SpoolRecord{waiting("a"), waiting("b")}
			w.must(w.put(ctx, list...))
			moved := list[0]
			moved.Queued = true
			w.latePut(moved)
			w.spool.Return(w.line, list[0].SpoolKey)
			w.flush()
			w.must(w.put(ctx, queued("c", 0)))
		}, want: "a b d:c0", harm: "b d:a0 d:c0"},
		{name: "a flush of a part of a row", do: func(w *lateWorld) {
			list := []store.SpoolRecord{waiting("a"), waiting("b"), waiting("c")}
			w.must(w.put(ctx, list...))
			w.spool.Done(w.line, list[0].SpoolKey)
			w.late(w.spool.Flush)
			w.spool.Done(w.line, list[1].SpoolKey)
			w.flush()
		}, want: "c", harm: "b c"},
		{name: "attempts", do: func(w *lateWorld) {
			list := []store.SpoolRecord{queued("a", 1)}
			w.must(w.put(ctx, list...))
			list[0].Flags[0] = 2
			w.latePut(list...)
			list[0].Flags[0] = 3
			w.must(w.put(ctx, list...))
		}, want: "d:a3", harm: "d:a2"},
		{name: "two puts", do: func(w *lateWorld) {
			w.latePut(waiting("a"))
			w.latePut(queued("b", 0))
			w.flush()
		}, want: "", harm: "d:b0"}, // the second deletes what the first has put
		{name: "a put and the flush that clears it up", do: func(w *lateWorld) {
			w.latePut(waiting("a"))
			w.late(w.spool.Flush)
			w.must(w.put(ctx, waiting("b")))
		}, want: "b", harm: "b"}, // the flush deletes it again
		{name: "two puts in two rounds", do: func(w *lateWorld) {
			w.latePut(waiting("a"))
			w.flush()
			w.latePut(waiting("b"))
			w.flush()
			w.must(w.put(ctx, waiting("c")))
		}, want: "c", harm: "a b c"},
		{name: "a put for another line", do: func(w *lateWorld) {
			other := store.Line{App: "mail", Environment: "sandbox"}
			w.latePut(waiting("a"))
			w.must(w.spool.Put(ctx, store.SpoolBatch{Line: other, Records: []store.SpoolRecord{waiting("o")}}))
			w.flush()
		}, want: "", harm: "a"},
		{name: "a put before the app is given", do: func(w *lateWorld) {
			w.latePut(waiting("a"))
			w.must(w.owner.Leases().Give(ctx, "mail", 1, "gw2"))
			w.next("gw2")
		}, want: "", harm: ""}, // refused because of its node
		{name: "a put of a node that dies", do: func(w *lateWorld) {
			w.latePut(waiting("a"))
			w.next("gw2")
		}, want: "", harm: ""},
		{name: "a put of an earlier epoch of the same node", do: func(w *lateWorld) {
			w.latePut(waiting("a"))
			own(w.t, w.spool, w.owner.Leases(), "mail")
			w.must(w.put(ctx, waiting("b")))
		}, want: "b", harm: "b"},
		{name: "a record of the ledger", do: func(w *lateWorld) {
			record := note("k")
			record.Value = []byte("old")
			w.late(func(ctx context.Context) error { return w.ledger.Append(ctx, record) })
			record.Value = []byte("new")
			w.must(w.ledger.Append(ctx, record))
		}, want: "k=new", harm: "k=old"},
		{name: "a replacement of the ledger", do: func(w *lateWorld) {
			w.late(func(ctx context.Context) error { return w.ledger.Replace(ctx, note("old")) })
			w.must(w.ledger.Replace(ctx, note("k")))
			w.must(w.ledger.Append(ctx, note("l")))
		}, want: "k= l=", harm: "old="},
	} {
		for _, v := range []struct {
			name, want   string
			rounds, ends bool
		}{
			{"", tt.want, true, true},
			{" through a proxy with processes of its own", tt.want, true, false},
			{" without rounds", tt.harm, false, false},
		} {
			t.Run(tt.name+v.name, func(t *testing.T) {
				t.Parallel()
				w := newLateWorld(t)
				if !v.rounds {
					alter(t, w.direct, "fence", "begin\n", "begin\n  r := 0;\n")
				}
				w.ends = v.ends
				tt.do(w)
				w.way.letGo()
				if got := w.next("gw9"); got != v.want {
					t.Errorf("got %q at the next owner, want %q", got, v.want)
				}
			})
		}
	}
}

// A write of which only the first part has arrived holds the lock of its fence for as long as the
// server waits for the rest. That does not hold up the writes that come in its stead.
func TestLateInTheMiddle(t *testing.T) {
	t.Parallel()
	w := newLateWorld(t)
	long := waiting("a")
	long.Body = make([]byte, 256<<10)
	w.way.late(t, len(long.Body)/2, func(ctx context.Context) error { return w.put(ctx, long) })
	waitFor(t, w.direct, `select exists (select from pg_stat_activity s join pg_locks k using (pid)
		where k.relation = 'app'::regclass and s.wait_event = 'ClientRead')`)
	brief, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	w.must(w.put(brief, waiting("b")))
	w.way.letGo()
	if got := w.next("gw2"); got != "b" {
		t.Errorf("got %q at the next owner, want %q", got, "b")
	}
	if n := len(w.spool.engine.rounds.late); n > 0 {
		t.Errorf("%d processes are yet to be ended, want none", n)
	}
}

// A write that is under way when its round ends, because another one was given up, is refused
// once and then carried out: its caller still waits for it.
func TestRoundEndsDuringAWrite(t *testing.T) {
	t.Parallel()
	w := newLateWorld(t)
	alter(t, w.direct, "fence", "begin\n", "begin\n  if r = 0 then "+dawdles+" end if;\n")
	goOn := hold(t, w.direct)
	other := store.Line{App: "mail", Environment: "sandbox"}
	written := make(chan error)
	go func() {
		written <- w.spool.Put(ctx, store.SpoolBatch{Line: other, Records: []store.SpoolRecord{waiting("o")}})
	}()
	drawn(t, w.direct)
	w.latePut(waiting("a"))
	w.must(w.put(ctx, waiting("b")))
	goOn()
	if err := <-written; err != nil {
		t.Error(err)
	}
	if got := w.next("gw2"); got != "b" {
		t.Errorf("got %q at the next owner, want %q", got, "b")
	}
	if got := w.owner.Spool().Waiting(other); got != 1 {
		t.Errorf("got %d on the other line, want the one that was put", got)
	}
}

// A write that is past its fence when it is given up may still be committed. The write that clears
// it up waits for that.
func TestLatePastItsFence(t *testing.T) {
	t.Parallel()
	w := newLateWorld(t)
	alter(t, w.direct, "fence", "for share;\n    if found then\n",
		"for share;\n    if found then\n      if r = 0 then "+dawdles+" end if;\n")
	goOn := hold(t, w.direct)
	brief, cancel := context.WithCancel(ctx)
	written := make(chan error)
	go func() { written <- w.put(brief, waiting("a")) }()
	drawn(t, w.direct)
	cancel()
	if err := <-written; !inDoubt(err) {
		t.Fatalf("got %v from a write that was given up, want it to be in doubt", err)
	}
	clear(w.spool.engine.rounds.late)
	go func() { written <- w.spool.Flush(ctx) }()
	waitFor(t, w.direct, "select exists (select from pg_stat_activity where pg_blocking_pids(pid) && array"+
		dawdlingIn(w.direct)+")")
	goOn()
	w.must(<-written)
	if got := w.next("gw2"); got != "" {
		t.Errorf("got %q at the next owner, want nothing", got)
	}
}

// Of the writes that come first in a round only one can be the first. The others wait for it, and
// all are carried out.
func TestTwoWritesBeginARound(t *testing.T) {
	t.Parallel()
	w := newLateWorld(t)
	tx, err := connect(t, w.direct).Begin(ctx)
	w.must(err)
	_, err = tx.Exec(ctx, "select fence('mail', 'gw1', 1, 0)")
	w.must(err)
	w.spool.engine.rounds.end(0, 0)
	written := make(chan error)
	for _, environment := range []string{"production", "sandbox"} {
		go func() {
			written <- w.spool.Put(ctx, store.SpoolBatch{Line: store.Line{App: "mail", Environment: environment},
				Records: []store.SpoolRecord{waiting("a")}})
		}()
	}
	waitFor(t, w.direct, `select count(*) = 2 from pg_stat_activity
		where cardinality(pg_blocking_pids(pid)) > 0 and pid in
			(select pid from pg_locks where relation = 'app'::regclass and granted)`)
	w.must(tx.Commit(ctx))
	for range 2 {
		if err := <-written; err != nil {
			t.Error(err)
		}
	}
	waitFor(t, w.direct, "select round = 1 from app")
}
