package server

import (
	"errors"
	"testing"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/findings"
	"apnsbridge/store"
)

// The store keeps to spool.max_bytes, spool_reserve and spool_device_share, and check says when
// the spool is full, as /readyz does.
func TestSpoolBounds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	w.Stop()
	w.Reconfigure("apps:", "spool: {max_bytes: 4MiB}\nlimits: {spool_reserve: 1MiB, spool_device_share: 20 %}\napps:")
	w.Start()
	if got := w.service.current.Load().storeOptions(); got.SpoolReserve != 1<<20 {
		t.Errorf("got a reserve of %d bytes, want 1 MiB", got.SpoolReserve)
	}
	s, l := w.service.store.Spool(), store.Line{App: "other", Environment: "production"}
	put := func(token string, queued bool) error {
		return s.Put(t.Context(), store.SpoolBatch{Line: l, Records: []store.SpoolRecord{
			{SpoolKey: store.SpoolKey{Token: []byte(token), Queued: queued}, Body: make([]byte, 100<<10)},
		}})
	}
	fill := func(token string, queued bool, want error) (kib int) {
		for ; ; kib += 100 {
			if err := put(token, queued); errors.Is(err, want) {
				return kib
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 21 {
		if err := put("", false); err != nil {
			t.Fatal(err)
		}
	}
	if got := fill("device", true, store.ErrDeviceFull); got < 700 || got > 820 {
		t.Errorf("a device took %d KiB, want a fifth of 4 MiB", got)
	}
	if got := w.alarms(t); len(got) != 0 {
		t.Errorf("check says %+v of a spool that is not full", got)
	}
	fill("", false, store.ErrSpoolFull)
	if got := s.Stats(); got.Bound != 4<<20 || got.Bytes < 7<<19 || got.Bytes > 4<<20 {
		t.Errorf("got %d bytes of %d, want almost 4 MiB", got.Bytes, got.Bound)
	}
	w.Stop()
	full := "the store cannot be written: the spool is full: raise spool.max_bytes, or see why APNs does not take what waits"
	if got := w.alarms(t); len(got) != 1 || got[0] != (findings.Finding{Setting: "spool.max_bytes", Text: full}) {
		t.Errorf("check says %+v, want %q", got, full)
	}
	w.Reconfigure("max_bytes: 4MiB", "max_bytes: 8MiB")
	if got := w.alarms(t); len(got) != 0 {
		t.Errorf("check says %+v of a spool of 8 MiB", got)
	}
}

// alarms returns check's alarms.
func (w *world) alarms(t *testing.T) []findings.Finding {
	t.Helper()
	found, err := Check(t.Context(), w.Path("apnsbridge.yaml"), CheckOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return found.Alarms
}
