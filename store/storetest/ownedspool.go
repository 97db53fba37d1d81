package storetest

import (
	"slices"
	"testing"

	"apnsbridge/store"
)

// ownApp claims the app and loads its spool.
func ownApp(t *testing.T, p Process, want uint64) {
	t.Helper()
	checkClaim(t, p, want)
	must(t, p.Spool.Own(ctx, app, want))
}

// What waits goes to the next owner in order, without what was done, and IDs keep growing.
func testSpoolGoesOver(t *testing.T, f Fleet) {
	gw1, gw2 := join(t, f, "gw1", forLong), join(t, f, "gw2", forLong)
	if err := gw1.Spool.Put(ctx, onto(mail, logged(0, 1))); err != store.ErrNotOurs {
		t.Errorf("Put for an app that nobody has: got %v, want %v", err, store.ErrNotOurs)
	}
	checkLines(t, gw1.Spool)
	ownApp(t, gw1, 1)
	keys := putLine(t, gw1.Spool, mail, logged(0, 5))
	queue := putLine(t, gw1.Spool, mail, queued("d", 5, 3))
	putLine(t, gw1.Spool, other, logged(8, 1))
	gw1.Spool.Done(mail, keys[1], queue[0])
	gw1.Spool.Return(mail, keys[2])
	must(t, gw1.Spool.Flush(ctx))
	must(t, gw1.Leases.Give(ctx, app, 1, "gw2"))
	gw1.Spool.Disown(app)
	checkLines(t, gw1.Spool)
	if got := gw1.Spool.Stats().Bytes; got != 0 {
		t.Errorf("got %d bytes for a node without an app, want 0", got)
	}
	ownApp(t, gw2, 2)
	checkLines(t, gw2.Spool, mail, other)
	checkLine(t, gw2.Spool, mail, "0 2 3 4")
	checkQueue(t, gw2.Spool, mail, "d", "6 7")
	checkLine(t, gw2.Spool, other, "8")
	more := putLine(t, gw2.Spool, mail, logged(9, 1))
	if last := slices.MaxFunc(append(keys, queue...),
		func(a, b store.SpoolKey) int { return int(a.ID) - int(b.ID) }); more[0].ID <= last.ID {
		t.Errorf("got ID %d from the new owner after %d from the old", more[0].ID, last.ID)
	}
}

// Nothing that an old owner still does is seen by the new one.
func testSpoolOldEpoch(t *testing.T, f Fleet) {
	gw1, gw2 := join(t, f, "gw1", forLong), join(t, f, "gw2", forLong)
	ownApp(t, gw1, 1)
	keys := putLine(t, gw1.Spool, mail, logged(0, 4))
	queue := putLine(t, gw1.Spool, mail, queued("d", 4, 2))
	must(t, gw1.Leases.Give(ctx, app, 1, ""))
	ownApp(t, gw2, 2)
	list := logged(6, 1)
	checkError(t, "Put", gw1.Spool.Put(ctx, onto(mail, list), onto(mail, queued("d", 7, 1))), store.ErrNotOurs)
	if list[0].ID != 0 {
		t.Errorf("got ID %d for a record that was not put", list[0].ID)
	}
	move := store.SpoolRecord{SpoolKey: store.SpoolKey{ID: keys[0].ID, Token: []byte("d"), Queued: true},
		Body: []byte("0")}
	checkError(t, "a move", gw1.Spool.Put(ctx, onto(mail, []store.SpoolRecord{move})), store.ErrNotOurs)
	gw1.Spool.Done(mail, append(keys, queue...)...)
	checkError(t, "Flush", gw1.Spool.Flush(ctx), store.ErrNotOurs)
	checkError(t, "Own", gw1.Spool.Own(ctx, app, 1), store.ErrNotOurs)
	checkError(t, "Own", gw1.Spool.Own(ctx, app, 2), store.ErrNotOurs)
	checkLine(t, gw2.Spool, mail, "0 1 2 3")
	checkQueue(t, gw2.Spool, mail, "d", "4 5")
	gw1.Spool.Disown(app)
	must(t, gw1.Spool.Flush(ctx))
}

// An app that comes back to a node is as the node in between has left it.
func testSpoolComesBack(t *testing.T, f Fleet) {
	gw1, gw2 := join(t, f, "gw1", forLong), join(t, f, "gw2", forLong)
	ownApp(t, gw1, 1)
	first := putLine(t, gw1.Spool, mail, logged(0, 2))
	gw1.Spool.Done(mail, first[0]) // without a Flush
	must(t, gw1.Leases.Give(ctx, app, 1, ""))
	ownApp(t, gw2, 2)
	left := "0 1"
	if gw2.Spool.Waiting(mail) == 1 { // gw1 has flushed by itself before the app was given
		left = "1"
	}
	second := putLine(t, gw2.Spool, mail, logged(2, 2))
	gw2.Spool.Done(mail, second[0])
	must(t, gw2.Spool.Flush(ctx))
	must(t, gw2.Leases.Give(ctx, app, 2, ""))
	gw2.Spool.Disown(app)
	ownApp(t, gw1, 3) // replaces what it had
	checkLine(t, gw1.Spool, mail, left+" 3")
	third := putLine(t, gw1.Spool, mail, logged(4, 1))
	if third[0].ID <= second[1].ID {
		t.Errorf("got ID %d after %d, want it to grow", third[0].ID, second[1].ID)
	}
}
