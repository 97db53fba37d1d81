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
// configured for. One that serves may keep the store for ever, so a successor gives up.
func TestAwaitStore(t *testing.T) {
	for _, tt := range []struct {
		name   string
		serves bool
	}{{"the other one drains", false}, {"the other one serves", true}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, apnssim.Scenario{})
			w.Reconfigure("apps:", "limits: {drain: 1ms}\napps:")
			settings, err := config.Load(w.Path("apnsbridge.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			dir := settings.Path(settings.Store.Path)
			other, err := boltstore.Open(dir, boltstore.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if tt.serves {
				w.Write(filepath.Join("data", "take-over.sock"), nil)
			}
			started := make(chan error, 1)
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
			if tt.serves {
				if err := <-started; !errors.Is(err, boltstore.ErrInUse) {
					t.Errorf("got %v, want that it is in use", err)
				}
				other.Close()
				return
			}
			for waits := 0; waits < 2; { // each of which takes as long as an attempt to open the store
				turn, err := boltstore.TakeTurn(dir)
				switch {
				case err == nil:
					turn.End()
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
		})
	}
}
