package pgstore

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"apnsbridge/store"
)

// gated is a connection that writes only while its gate is open.
type gated struct {
	net.Conn
	gate *sync.RWMutex
}

func (g gated) Write(b []byte) (int, error) {
	g.gate.RLock()
	defer g.gate.RUnlock()
	return g.Conn.Write(b)
}

// newGate starts a proxy to the server that lets nothing through while its gate is locked.
func newGate(t *testing.T) (dir string, gate *sync.RWMutex) {
	t.Helper()
	gate = new(sync.RWMutex)
	dir = startProxy(t, func(client, server net.Conn) (requests, answers func()) {
		pass := func(to, from net.Conn) func() {
			return func() { _, _ = io.Copy(gated{to, gate}, from) }
		}
		return pass(server, client), pass(client, server)
	})
	return dir, gate
}

// Close returns soon though the server does not answer. By itself, pgx would wait 15 s for connections
// whose requests were interrupted, in one pool after the other.
func TestCloseWithoutAnswers(t *testing.T) {
	t.Parallel()
	c := newSchema(t)
	dir, gate := newGate(t)
	c.URL = fmt.Sprintf("postgres://postgres@/postgres?host=%s&port=5432", dir)
	s, err := Open(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	join(t, process(s), time.Hour)
	gate.Lock()
	defer gate.Unlock()
	var asking sync.WaitGroup
	for _, ask := range []func(context.Context) error{
		func(ctx context.Context) error { // over the connection for renewals
			_, err := s.Leases().Renew(ctx, store.FleetNode{}, time.Hour)
			return err
		},
		func(ctx context.Context) error { return s.Feedback().Record(ctx, "mail", dead(1, 1)) },
	} {
		asking.Go(func() {
			brief, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
			defer cancel()
			if err := ask(brief); err == nil {
				t.Error("a request succeeded though the gate is locked")
			}
		})
	}
	asking.Wait()
	began := time.Now()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 12*time.Second {
		t.Errorf("Close took %v, want a few seconds", took)
	}
}
