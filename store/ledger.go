package store

import (
	"context"
	"time"
)

// LedgerRecord is something the resend ledger wants to find again after a
// restart. What it says is the ledger's own business.
type LedgerRecord struct {
	Key     []byte // 1 to 1,024 bytes; of two records with one key the later stays
	Value   []byte
	Expires time.Time // in whole milliseconds; the time the bridge is down counts too
}

// Ledger is the log below the resend ledger, which is kept in memory: written
// as it goes, read once at the start. A change is durable when its method
// returns without an error.
type Ledger interface {
	// Append writes records, all or none. One that has expired takes what is
	// kept under its key away. The records are copied.
	Append(ctx context.Context, records ...LedgerRecord) error

	// Load calls fn for each record that has not expired, in the order of their
	// keys, until fn fails. A record is borrowed until fn returns, and fn may
	// not call the store.
	Load(ctx context.Context, fn func(LedgerRecord) error) error

	// Replace drops all that is kept, expired or not, and writes records
	// instead, all or none.
	Replace(ctx context.Context, records ...LedgerRecord) error
}
