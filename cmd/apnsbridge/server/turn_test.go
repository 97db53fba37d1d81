package server

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/rs/zerolog"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/config"
	"apnsbridge/store/boltstore"
)

// A gateway that drains has as long as it takes, however short a drain its successor is
// configured for.
func TestAwaitStoreOfOneThatDrains(t *testing.T) {
	t.Parallel()
	dir, other, started := awaitStore(t)
	for waits := 0; waits < 2; { // each of which takes as long as an attempt to open the store
		turn := boltstore.QueueUp(dir)
		err := turn.Wait()
		turn.End()
		switch {
		case err == nil:
			select {
			case err := <-started:
				t.Fatalf("it does not wait: %v", err)
			default:
			}
		case errors.Is(err, boltstore.ErrInUse):
			waits++
		default:
			t.Fatal(err)
		}
	}
	if err := other.Close(); err != nil {
		t.Error(err)
	}
	if err := <-started; err != nil {
		t.Error(err)
	}
}

// One that serves may keep the store for ever, so a successor gives up.
func TestAwaitStoreOfOneThatServes(t *testing.T) {
	t.Parallel()
	_, other, started := awaitStore(t, "take-over.sock")
	defer other.Close()
	if err := <-started; !errors.Is(err, boltstore.ErrInUse) {
		t.Errorf("got %v, want that it is in use", err)
	}
}

// awaitStore starts a gateway while another one has its store, with what the other one has put
// beside that. It returns the folder, the other one's store, and how the start ended.
func awaitStore(t *testing.T, beside ...string) (dir string, other *boltstore.Store, started chan error) {
	t.Helper()
	w := newWorld(t, apnssim.Scenario{})
	w.Reconfigure("apps:", "limits: {drain: 1ms}\napps:")
	settings, err := config.Load(w.Path("apnsbridge.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	dir = settings.Path(settings.Store.Path)
	if other, err = boltstore.Open(dir, boltstore.Options{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range beside {
		w.Write(filepath.Join("data", name), nil)
	}
	started = make(chan error, 1)
	go func() {
		assembled, err := Assemble(settings)
		var s *Service
		if err == nil {
			s, err = New(assembled, Options{Log: zerolog.Nop(), Awaits: true})
		}
		if err == nil {
			err = s.Stop(t.Context())
		}
		started <- err
	}()
	return dir, other, started
}
