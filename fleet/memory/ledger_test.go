package memory

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"apnsbridge/store"
)

// breaking is a ledger whose connection has broken.
type breaking struct {
	store.Ledger
	errs []error
}

func (b *breaking) Replace(ctx context.Context, records ...store.LedgerRecord) error {
	if len(b.errs) > 0 {
		err := b.errs[0]
		b.errs = b.errs[1:]
		return err
	}
	return b.Ledger.Replace(ctx, records...)
}

// What is written last before an app is given is written once more over another
// connection, unless the app is another's.
func TestLedgerReplaceAgain(t *testing.T) {
	r := store.LedgerRecord{Key: []byte("k"), Value: []byte("v"), Expires: time.Now().Add(time.Hour)}
	for _, tt := range []struct {
		err  error
		want int
	}{{errAway, 1}, {store.ErrNotOurs, 0}} {
		b := &breaking{Ledger: openBolt(t).Ledger(), errs: []error{tt.err}}
		err := Ledger{Ledger: b, Patience: 5 * time.Second}.Replace(ctx, r)
		if (err == nil) != (tt.want == 1) {
			t.Errorf("after %v: got error %v", tt.err, err)
		}
		got := 0
		if err := b.Load(ctx, func(store.LedgerRecord) error { got++; return nil }); err != nil || got != tt.want {
			t.Errorf("after %v: %d records, %v, want %d", tt.err, got, err, tt.want)
		}
	}
	b := &breaking{errs: slices.Repeat([]error{errAway}, 1000)}
	ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if err := (Ledger{Ledger: b, Patience: time.Second}).Replace(ctx, r); !errors.Is(err, errAway) {
		t.Errorf("got %v", err)
	}
}
