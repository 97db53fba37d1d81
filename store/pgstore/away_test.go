package pgstore

import (
	"errors"
	"strings"
	"testing"
	"time"

	"apnsbridge/store"
)

// owning opens a store that has claimed mail, and returns it with mail's ledger.
func owning(t *testing.T, c Config) (*Store, *Ledger) {
	t.Helper()
	s := open(t, c)
	join(t, process(s), time.Hour)
	epoch, err := s.Leases().Claim(ctx, "mail")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Spool().Own(ctx, "mail", epoch); err != nil {
		t.Fatal(err)
	}
	return s, s.Ledger("mail", epoch)
}

func note(key string) store.LedgerRecord {
	return store.LedgerRecord{Key: []byte(key), Expires: time.Now().Add(time.Hour)}
}

// What was acknowledged before the server crashed is there when it is back, and the same store
// goes on working.
func TestServerCrashes(t *testing.T) {
	c := newSchema(t)
	s, ledger := owning(t, c)
	line := store.Line{App: "mail", Environment: "production"}
	put := func(body string) error {
		return s.Spool().Put(ctx, store.SpoolBatch{Line: line, Records: []store.SpoolRecord{{Body: []byte(body)}}})
	}
	if err := errors.Join(ledger.Append(ctx, note("before")), put("before")); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	for what, err := range map[string]error{
		"Append": ledger.Append(ctx, note("meanwhile")), "Put": put("meanwhile"),
		"Record": s.Feedback().Record(ctx, "mail", dead(1, 1)),
	} {
		if err == nil || errors.Is(err, store.ErrNotOurs) || errors.Is(err, store.ErrLeaseOver) ||
			strings.ContainsRune(err.Error(), '\n') {
			t.Errorf("%s without a server: got %v, want one line that says that it is away", what, err)
		}
	}
	if _, err := s.Leases().Renew(ctx, store.FleetNode{}, time.Hour); err == nil || errors.Is(err, store.ErrLeaseOver) {
		t.Errorf("Renew without a server: got %v, want another error than that the lease is over", err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if _, err := s.Leases().Renew(ctx, store.FleetNode{}, time.Hour); err == nil {
			break
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	if err := errors.Join(ledger.Append(ctx, note("after")), put("after")); err != nil {
		t.Fatal(err)
	}
	var keys []string
	if err := ledger.Load(ctx, func(r store.LedgerRecord) error {
		keys = append(keys, string(r.Key))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(keys, " "); got != "after before" {
		t.Errorf("got %q in the ledger, want what was acknowledged", got)
	}
	if err := s.Leases().Leave(ctx); err != nil {
		t.Fatal(err)
	}
	c.Node = "gw2"
	there, _ := owning(t, c)
	if list, err := there.Spool().Take(ctx, line, 9, 1<<20); bodies(list) != "before after" || err != nil {
		t.Errorf("got %q in the spool and error %v, want what was acknowledged", bodies(list), err)
	}
}

// The connections to a server that is no longer the primary are closed as soon as it refuses a write.
func TestServerReadOnly(t *testing.T) {
	c := newSchema(t)
	s, ledger := owning(t, c)
	if err := ledger.Append(ctx, note("before")); err != nil {
		t.Fatal(err)
	}
	direct := connect(t, c)
	if _, err := direct.Exec(ctx, "set default_transaction_read_only = off"); err != nil {
		t.Fatal(err)
	}
	reload := func(sql, value string) {
		for _, sql := range []string{"alter system " + sql, "select pg_reload_conf()"} {
			if _, err := direct.Exec(ctx, sql); err != nil {
				t.Fatal(err)
			}
		}
		for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
			if err := ledger.Append(ctx, note("x")); (err != nil) == (value == "on") {
				return
			} else if time.Now().After(deadline) {
				t.Fatalf("read-only is %s, but a write got %v", value, err)
			}
		}
	}
	reload("set default_transaction_read_only = on", "on")
	err := ledger.Append(ctx, note("meanwhile"))
	if err == nil || !strings.Contains(err.Error(), "read only") {
		t.Errorf("got %v over a new connection, want that it is read-only", err)
	}
	reload("reset default_transaction_read_only", "off")
	if err := ledger.Append(ctx, note("after")); err != nil {
		t.Error(err)
	}
	if err := s.Feedback().Record(ctx, "mail", dead(1, 1)); err != nil {
		t.Error(err)
	}
}
