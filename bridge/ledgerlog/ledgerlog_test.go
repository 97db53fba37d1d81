package ledgerlog

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/bridge/conversation"
	"apnsbridge/store"
)

// disk keeps records as a store.Ledger does, and can be full.
type disk struct {
	mu   sync.Mutex
	full bool
	has  map[string]string
}

func (d *disk) Append(_ context.Context, records ...store.LedgerRecord) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full {
		return errors.New("no space")
	}
	for _, r := range records {
		if d.has[string(r.Key)] = string(r.Value); r.Expires.Unix() <= 0 {
			delete(d.has, string(r.Key))
		}
	}
	return nil
}

func (d *disk) Replace(ctx context.Context, records ...store.LedgerRecord) error {
	d.has = make(map[string]string)
	return d.Append(ctx, records...)
}

func (d *disk) Load(_ context.Context, fn func(store.LedgerRecord) error) error {
	for key, value := range d.has {
		if err := fn(store.LedgerRecord{Key: []byte(key), Value: []byte(value), Expires: later}); err != nil {
			return err
		}
	}
	return nil
}

func (d *disk) get(key string) (value string, full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.has[key], d.full
}

var later = time.Unix(1<<40, 0)

func record(key, value string) []conversation.Record {
	return []conversation.Record{{Key: []byte(key), Value: []byte(value), Expires: later}}
}

// What is to happen behind records does, in its order, when they are durable or cannot be;
// what could not be written is when it can, in its latest form.
func TestWrites(t *testing.T) {
	for name, full := range map[string]bool{"with room": false, "on a full disk": true} {
		t.Run(name, func(t *testing.T) {
			d := &disk{full: full, has: map[string]string{}}
			l := New(d, time.Millisecond, zerolog.Nop())
			done, ended := make(chan struct{}), make(chan struct{})
			var order []int
			told := make(chan struct{})
			for i, value := range []string{"old", "new", ""} {
				key := "key"
				if value == "" {
					key = "other"
				}
				l.Write(record(key, value), func() {
					if order = append(order, i); len(order) == 3 {
						close(told)
					}
				})
			}
			if waiting, _ := l.Figures(); waiting != 3 {
				t.Errorf("%d wait", waiting)
			}
			go func() { l.Run(done); close(ended) }()
			<-told
			if l.Failing() != full {
				t.Errorf("failing: %t", l.Failing())
			}
			if value, _ := d.get("key"); (value == "new") == full || !slices.Equal(order, []int{0, 1, 2}) {
				t.Errorf("%q is written, told %v", value, order)
			}
			d.mu.Lock()
			d.full = false
			d.mu.Unlock()
			for value := ""; value != "new"; value, _ = d.get("key") {
				time.Sleep(time.Millisecond)
			}
			close(done)
			<-ended
			if _, failures := l.Figures(); (failures > 0) != full {
				t.Errorf("%d failures", failures)
			}
		})
	}
}

// Guards and what clients that have not come may send again survive restarts, and an end in
// order.
func TestSurvivesRestarts(t *testing.T) {
	d := &disk{has: map[string]string{}}
	l := New(d, time.Millisecond, zerolog.Nop())
	l.SaveGuard("mail", []byte("knows"), later)
	done := make(chan struct{})
	close(done)
	l.Run(done)
	for range 2 {
		l = New(d, time.Millisecond, zerolog.Nop())
		if err := l.load(); err != nil {
			t.Fatal(err)
		}
		if got := string(l.Guard("mail")); got != "knows" || l.Guard("other") != nil {
			t.Errorf("of the guard %q is left", got)
		}
		if err := l.Replace(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.begin(true); err != nil || d.has["\x00run"] == "" {
		t.Errorf("%v, %q", err, d.has)
	}
	l = New(d, time.Millisecond, zerolog.Nop())
	if err := l.load(); err != nil || !l.committed {
		t.Errorf("%v; all was on disk: %v", err, l.committed)
	}
	if l.SpoolLost(); l.begin(false) != nil || d.has["\x00run"] == "" {
		t.Error("it is said anew that nothing is on disk")
	}
}
