package boltstore

import (
	"context"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"apnsbridge/store"
	"apnsbridge/store/boltstore/boltfile"
)

var ledgerBucket = []byte("ledger")

// expiresSize is the length of the expiration that stands before a record's value.
const expiresSize = 8

// Ledger implements store.Ledger.
type Ledger struct {
	file *boltfile.File
	now  func() time.Time
}

func (l *Ledger) prepare(tx *bbolt.Tx) error {
	b, err := tx.CreateBucketIfNotExists(ledgerBucket)
	if err != nil {
		return err
	}
	return b.ForEach(func(key, v []byte) error {
		if len(v) < expiresSize {
			return boltfile.Damage("a ledger record of %d bytes", len(v))
		}
		return nil
	})
}

// Append implements store.Ledger.
func (l *Ledger) Append(ctx context.Context, records ...store.LedgerRecord) error {
	return l.change(ctx, records, false)
}

// Replace implements store.Ledger.
func (l *Ledger) Replace(ctx context.Context, records ...store.LedgerRecord) error {
	return l.change(ctx, records, true)
}

func (l *Ledger) change(ctx context.Context, records []store.LedgerRecord, replace bool) error {
	const maxKey = 1024
	for _, r := range records {
		if len(r.Key) == 0 || len(r.Key) > maxKey {
			return fmt.Errorf("store: a ledger key of %d bytes; 1 to %d can be kept", len(r.Key), maxKey)
		}
	}
	return l.file.Update(ctx, func(tx *bbolt.Tx) error {
		if replace {
			if err := tx.DeleteBucket(ledgerBucket); err != nil {
				return err
			}
		}
		b, err := tx.CreateBucketIfNotExists(ledgerBucket)
		if err != nil {
			return err
		}
		now := l.now()
		for _, r := range records {
			if r.Expires.After(now) {
				err = b.Put(r.Key, append(appendU64(nil, millis(r.Expires)), r.Value...))
			} else {
				err = b.Delete(r.Key)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}, func() {})
}

// Load implements store.Ledger.
func (l *Ledger) Load(ctx context.Context, fn func(store.LedgerRecord) error) error {
	now := l.now()
	var failed error // from fn, to be returned unchanged
	err := l.file.View(ctx, func(tx *bbolt.Tx) error {
		c := tx.Bucket(ledgerBucket).Cursor()
		for key, v := c.First(); key != nil; key, v = c.Next() {
			r := store.LedgerRecord{Key: key, Value: v[expiresSize:], Expires: fromMillis(u64(v))}
			if !r.Expires.After(now) {
				continue
			}
			if failed = fn(r); failed != nil {
				return nil
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return failed
}
