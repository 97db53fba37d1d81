package server

import (
	"errors"
	"testing"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/store"
)

// spool.max_bytes, spool_reserve and spool_device_share are what the store keeps to.
func TestSpoolBounds(t *testing.T) {
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
	fill("", false, store.ErrSpoolFull)
	if got := s.Stats(); got.Bound != 4<<20 || got.Bytes < 7<<19 || got.Bytes > 4<<20 {
		t.Errorf("got %d bytes of %d, want almost 4 MiB", got.Bytes, got.Bound)
	}
}
