package memory

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"apnsbridge/store"
)

// breaking is a ledger whose connection breaks.
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

// The last write before an app is given is tried again over another connection, unless another
// node has the app.
func TestLedgerReplaceAgain(t *testing.T) {
	r := store.LedgerRecord{Key: []byte("k"), Value: []byte("v"), Expires: time.Now().Add(time.Hour)}
	for _, tt := range []struct {
		err  error
		want int
	}{{errAway, 1}, {store.ErrNotOurs, 0}} {
		b := &breaking{Ledger: openBolt(t).Ledger(), errs: []error{tt.err}}
		err := Ledger{Ledger: b, Patience: 5 * time.Second}.Replace(ctx, r)
		if (err == nil) != (tt.want == 1) {
			t.Errorf("after %v: got error %v, want one only if the app is another's", tt.err, err)
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
		t.Errorf("got %v, want the last failure once ctx has ended", err)
	}
}
