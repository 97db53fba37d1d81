// Package memory is what a node of a fleet remembers: the store that all nodes share and,
// behind it, the node's own. The fleet's store is never in the way: what cannot be put there
// goes into the node's own store, and this node alone delivers it or hands it over.
package memory

import (
	"context"
	"errors"
	"time"

	"apnsbridge/store"
)

// Ledger is a store.Ledger that is waited for no longer than Patience, except by Replace.
type Ledger struct {
	store.Ledger
	Patience time.Duration
	Fenced   func() // as in SpoolConfig
}

func (l Ledger) count(err error) error {
	if l.Fenced != nil && errors.Is(err, store.ErrNotOurs) {
		l.Fenced()
	}
	return err
}

// Append implements store.Ledger.
func (l Ledger) Append(ctx context.Context, records ...store.LedgerRecord) error {
	ctx, cancel := context.WithTimeout(ctx, l.Patience)
	defer cancel()
	return l.count(l.Ledger.Append(ctx, records...))
}

// Load implements store.Ledger.
func (l Ledger) Load(ctx context.Context, fn func(store.LedgerRecord) error) error {
	ctx, cancel := context.WithTimeout(ctx, l.Patience)
	defer cancel()
	return l.Ledger.Load(ctx, fn)
}

// Replace implements store.Ledger. It is the last thing that a node writes before it gives an
// app away, so it tries again if the connection has broken since the last write, and waits for
// a slow store until ctx ends.
func (l Ledger) Replace(ctx context.Context, records ...store.LedgerRecord) error {
	for {
		err := l.count(l.Ledger.Replace(ctx, records...))
		if err == nil || errors.Is(err, store.ErrNotOurs) || errors.Is(err, store.ErrClosed) {
			return err
		}
		select {
		case <-time.After(l.Patience / 50):
		case <-ctx.Done():
			return err
		}
	}
}
