package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"apnsbridge/store"
)

// Process is one process's part in a store that several machines share.
type Process struct {
	Leases store.Leases
	Ledger func(app string, epoch uint64) store.Ledger
	Spool  store.OwnedSpool
}

// Fleet is where one test's store for several machines lives. Each call starts a process
// under a node's name; the earlier ones go on.
type Fleet func(node string) Process

// Owned tests what a store for several machines adds: which node has an app, and that no
// other can write for it. place makes a new place for each test. takeovers is the number of
// takeovers in the random test.
func Owned(t *testing.T, takeovers int, place func(t *testing.T) Fleet) {
	for _, tt := range []struct {
		name string
		test func(*testing.T, Fleet)
	}{
		{"who comes first has it", testFirstClaim},
		{"of many at once one has it", testManyClaim},
		{"a lease that is renewed", testRenew},
		{"a lease that has run out", testRunOut},
		{"two processes of one name", testOneName},
		{"an app that is given", testGive},
		{"a node that leaves", testLeave},
		{"a view of the fleet", testView},
		{"writes of an old epoch", testOldEpoch},
		{"ledgers of several apps", testOwnLedgers},
		{"a spool goes over", testSpoolGoesOver},
		{"a spool of an old epoch", testSpoolOldEpoch},
		{"a spool comes back", testSpoolComesBack},
		{"an ended context", testOwnedContext},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, place(t)) })
	}
	t.Run("random takeovers", func(t *testing.T) {
		found := Takeovers(place(t), takeovers)
		t.Log(found)
		if found.Err != nil || found.Late+found.Backward+found.Overlaps > 0 || found.Refused == 0 {
			t.Error("want nothing late, backward or overlapping, no error, and some writes refused")
		}
	})
}

const forLong = time.Hour

// join starts a process and lets it join.
func join(t *testing.T, f Fleet, node string, lease time.Duration) Process {
	t.Helper()
	p := f(node)
	_, err := p.Leases.Join(ctx, store.FleetNode{Name: node, Address: node + ":2194"}, lease)
	must(t, err)
	return p
}

func checkClaim(t *testing.T, p Process, want uint64) {
	t.Helper()
	if got, err := p.Leases.Claim(ctx, app); got != want || err != nil {
		t.Fatalf("got epoch %d and error %v, want epoch %d", got, err, want)
	}
}

func checkTaken(t *testing.T, err error, by string) {
	t.Helper()
	var taken *store.TakenError
	if !errors.As(err, &taken) || taken.By != by || taken.Left < 0 || taken.Left > forLong {
		t.Errorf("got %v, want it taken by %s", err, by)
	}
}

func checkError(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// soon repeats try until it succeeds or time is up.
func soon(t *testing.T, try func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if err = try(); err == nil {
			return
		}
	}
	t.Fatal(err)
}

func testFirstClaim(t *testing.T, f Fleet) {
	gw1, gw2 := join(t, f, "gw1", forLong), join(t, f, "gw2", forLong)
	checkClaim(t, gw1, 1)
	_, err := gw2.Leases.Claim(ctx, app)
	checkTaken(t, err, "gw1")
	checkClaim(t, gw1, 2) // a node may claim again, as after a commit in doubt
	if got, err := gw2.Leases.Claim(ctx, "news"); got != 1 || err != nil {
		t.Errorf("another app: got epoch %d and error %v, want 1", got, err)
	}
	_, err = f("gw3").Leases.Claim(ctx, "other")
	checkError(t, "a claim of a node that has not joined", err, store.ErrLeaseOver)
	if _, err := gw1.Leases.Claim(ctx, ""); err == nil {
		t.Error("an app without a name: got no error")
	}
}

func testManyClaim(t *testing.T, f Fleet) {
	const nodes = 8
	var mu sync.Mutex
	var epochs []uint64
	var claiming sync.WaitGroup
	for i := range nodes {
		p := join(t, f, fmt.Sprint("gw", i), forLong)
		claiming.Go(func() {
			epoch, err := p.Leases.Claim(ctx, app)
			var taken *store.TakenError
			if err != nil && !errors.As(err, &taken) {
				t.Error(err)
			}
			if err == nil {
				mu.Lock()
				defer mu.Unlock()
				epochs = append(epochs, epoch)
			}
		})
	}
	claiming.Wait()
	if !slices.Equal(epochs, []uint64{1}) {
		t.Errorf("got claims with epochs %v, want one with epoch 1", epochs)
	}
}

func testRenew(t *testing.T, f Fleet) {
	const lease = 400 * time.Millisecond
	gw1, gw2 := join(t, f, "gw1", forLong), join(t, f, "gw2", forLong)
	checkClaim(t, gw1, 1) // under a long lease, however slow the machine is
	for until := time.Now().Add(3 * lease); ; {
		sent := time.Now()
		v, err := gw1.Leases.Renew(ctx, store.FleetNode{}, lease)
		if errors.Is(err, store.ErrLeaseOver) {
			t.Skip("this machine is too slow to renew in time")
		}
		must(t, err)
		if len(v.Apps) != 1 || v.Apps[0] != (store.FleetApp{Name: app, Node: "gw1", Epoch: 1}) {
			t.Errorf("got %+v, want gw1 to have the app still", v.Apps)
		}
		if sent.After(until) {
			return
		}
		_, err = gw2.Leases.Claim(ctx, app)
		if time.Since(sent) < lease {
			checkTaken(t, err, "gw1")
		}
		time.Sleep(lease / 4)
	}
}

func testRunOut(t *testing.T, f Fleet) {
	const lease = 50 * time.Millisecond
	gw1, gw2 := join(t, f, "gw1", forLong), join(t, f, "gw2", forLong)
	checkClaim(t, gw1, 1)
	sent := time.Now()
	_, err := gw1.Leases.Renew(ctx, store.FleetNode{}, lease)
	must(t, err)
	soon(t, func() error {
		epoch, err := gw2.Leases.Claim(ctx, app)
		if err == nil && epoch != 2 {
			t.Errorf("got epoch %d, want 2", epoch)
		}
		return err
	})
	if took := time.Since(sent); took < lease {
		t.Errorf("the app was claimed after %v of a lease of %v", took, lease)
	}
	_, err = gw1.Leases.Renew(ctx, store.FleetNode{}, lease)
	checkError(t, "renewing", err, store.ErrLeaseOver)
	_, err = gw1.Leases.Claim(ctx, "news")
	checkError(t, "claiming", err, store.ErrLeaseOver)
	v, err := gw1.Leases.Join(ctx, store.FleetNode{}, forLong)
	must(t, err)
	if len(v.Apps) != 1 || v.Apps[0].Node != "gw2" {
		t.Errorf("got %+v, want gw2 to have the app", v.Apps)
	}
	_, err = gw1.Leases.Claim(ctx, app)
	checkTaken(t, err, "gw2")
}

// A name is taken until its lease runs out, whether its process was killed or two machines share it.
func testOneName(t *testing.T, f Fleet) {
	old := join(t, f, "gw1", forLong)
	checkClaim(t, old, 1)
	new := f("gw1")
	_, err := new.Leases.Join(ctx, store.FleetNode{Address: "elsewhere:2194"}, forLong)
	checkTaken(t, err, "gw1:2194")
	_, err = old.Leases.Renew(ctx, store.FleetNode{}, time.Millisecond)
	must(t, err)
	soon(t, func() error {
		v, err := new.Leases.Join(ctx, store.FleetNode{}, forLong)
		if err == nil && (len(v.Apps) != 1 || v.Apps[0].Node != "gw1") {
			t.Errorf("got %+v, want the app to belong to the same name still", v.Apps)
		}
		return err
	})
	checkClaim(t, new, 2)
	checkError(t, "a write of the old one", old.Ledger(app, 1).Append(ctx, note("k", "v", 1<<40)), store.ErrNotOurs)
	_, err = old.Leases.Renew(ctx, store.FleetNode{}, forLong)
	checkError(t, "renewing the old one", err, store.ErrLeaseOver)
	_, err = old.Leases.Claim(ctx, app)
	checkError(t, "a claim of the old one", err, store.ErrLeaseOver)
	must(t, old.Leases.Leave(ctx)) // no effect: it has no lease
	_, err = new.Leases.Renew(ctx, store.FleetNode{}, forLong)
	must(t, err)
}

func testGive(t *testing.T, f Fleet) {
	gw1, gw2, gw3 := join(t, f, "gw1", forLong), join(t, f, "gw2", forLong), join(t, f, "gw3", forLong)
	checkClaim(t, gw1, 1)
	checkError(t, "what another has", gw2.Leases.Give(ctx, app, 1, "gw2x"), store.ErrNotOurs)
	checkError(t, "another epoch", gw1.Leases.Give(ctx, app, 2, "gw2"), store.ErrNotOurs)
	if err := gw1.Leases.Give(ctx, app, 1, "gw1"); err == nil {
		t.Error("giving an app to the node that has it: got no error")
	}
	must(t, gw1.Leases.Give(ctx, app, 1, "gw2"))
	checkError(t, "once more", gw1.Leases.Give(ctx, app, 1, "gw2"), store.ErrNotOurs)
	checkError(t, "a write behind it", gw1.Ledger(app, 1).Append(ctx, note("k", "v", 1<<40)), store.ErrNotOurs)
	_, err := gw3.Leases.Claim(ctx, app)
	checkTaken(t, err, "gw2")
	checkClaim(t, gw2, 2)
	must(t, gw2.Leases.Give(ctx, app, 2, ""))
	checkClaim(t, gw3, 3)
}

func testLeave(t *testing.T, f Fleet) {
	gw1, gw2 := join(t, f, "gw1", forLong), join(t, f, "gw2", forLong)
	checkClaim(t, gw1, 1)
	must(t, gw1.Leases.Leave(ctx))
	checkClaim(t, gw2, 2)
	_, err := gw1.Leases.Renew(ctx, store.FleetNode{}, forLong)
	checkError(t, "renewing", err, store.ErrLeaseOver)
	join(t, f, "gw1", forLong)
}

func testView(t *testing.T, f Fleet) {
	gw2 := join(t, f, "gw2", forLong)
	for _, name := range []string{"news", "Mail", app} {
		_, err := gw2.Leases.Claim(ctx, name)
		must(t, err)
	}
	gone := join(t, f, "gw0", forLong)
	must(t, gone.Leases.Leave(ctx))
	must(t, gw2.Leases.Give(ctx, "news", 1, ""))
	gw1 := f("gw1")
	check := func(got store.FleetView, want string) {
		t.Helper()
		if got := fmt.Sprint(got); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	v, err := gw1.Leases.Join(ctx, store.FleetNode{Name: "gw1", Address: "a:1", Digest: "d1"}, forLong)
	must(t, err)
	check(v, "{[{gw1 a:1 d1} {gw2 gw2:2194 }] [{Mail gw2 1} {mail gw2 1} {news  1}]}")
	v, err = gw1.Leases.Renew(ctx, store.FleetNode{Name: "gw1", Address: "a:2", Digest: "d2"}, forLong)
	must(t, err)
	check(v, "{[{gw1 a:2 d2} {gw2 gw2:2194 }] [{Mail gw2 1} {mail gw2 1} {news  1}]}")
}

func testOldEpoch(t *testing.T, f Fleet) {
	gw1 := join(t, f, "gw1", forLong)
	checkClaim(t, gw1, 1)
	first := gw1.Ledger(app, 1)
	must(t, first.Append(ctx, note("a", "1", 1<<40)))
	checkClaim(t, gw1, 2)
	second := gw1.Ledger(app, 2)
	checkError(t, "Append", first.Append(ctx, note("b", "1", 1<<40)), store.ErrNotOurs)
	checkError(t, "Append of nothing", first.Append(ctx), store.ErrNotOurs)
	checkError(t, "Replace", first.Replace(ctx, note("b", "1", 1<<40)), store.ErrNotOurs)
	checkError(t, "an epoch to come", gw1.Ledger(app, 3).Replace(ctx), store.ErrNotOurs)
	checkError(t, "an app that nobody claimed", gw1.Ledger("none", 1).Replace(ctx), store.ErrNotOurs)
	checkLedger(t, second, "a=1@1099511627776")
	must(t, second.Append(ctx, note("b", "2", 1<<40)))
	checkLedger(t, second, "a=1@1099511627776 b=2@1099511627776")
}

func testOwnLedgers(t *testing.T, f Fleet) {
	gw1, gw2 := join(t, f, "gw1", forLong), join(t, f, "gw2", forLong)
	checkClaim(t, gw1, 1)
	_, err := gw2.Leases.Claim(ctx, "news")
	must(t, err)
	mail, news := gw1.Ledger(app, 1), gw2.Ledger("news", 1)
	must(t, mail.Append(ctx, note("k", "mail", 1<<40)))
	must(t, news.Append(ctx, note("k", "news", 1<<40)))
	must(t, mail.Replace(ctx))
	checkLedger(t, mail, "")
	checkLedger(t, news, "k=news@1099511627776")
}

func testOwnedContext(t *testing.T, f Fleet) {
	gw1 := join(t, f, "gw1", forLong)
	checkClaim(t, gw1, 1)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, joining := gw1.Leases.Join(ended, store.FleetNode{}, forLong)
	_, renewing := gw1.Leases.Renew(ended, store.FleetNode{}, forLong)
	_, claiming := gw1.Leases.Claim(ended, app)
	for what, err := range map[string]error{
		"Join": joining, "Renew": renewing, "Claim": claiming, "Give": gw1.Leases.Give(ended, app, 1, ""),
		"Leave":  gw1.Leases.Leave(ended),
		"Append": gw1.Ledger(app, 1).Append(ended, note("k", "v", 1<<40)),
	} {
		if !errors.Is(err, context.Canceled) || strings.ContainsRune(err.Error(), '\n') {
			t.Errorf("%s: got %v, want %v", what, err, context.Canceled)
		}
	}
	checkClaim(t, gw1, 2)
}
