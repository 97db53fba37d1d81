// Package queuedb keeps records in the queues of devices, in a bbolt file:
//
//	meta      version · u32; salt · u32
//	queues    its sequence is the last ID that was given; a bucket by name of a line:
//	            u16 len(token) · token · u64 ID → frame
package queuedb

import (
	"context"
	"encoding/binary"
	"errors"
	"iter"
	"math/rand/v2"
	"time"

	"go.etcd.io/bbolt"

	"apnsbridge/store"
	"apnsbridge/store/boltstore/boltfile"
	"apnsbridge/store/boltstore/seglog"
)

const version = 2

var (
	queuesBucket = []byte("queues")
	saltKey      = []byte("salt")

	be = binary.BigEndian
)

// DB is such a file.
type DB struct {
	*boltfile.File
	Options
	Salt   uint32 // of frames, random
	New    bool   // there was no file
	LastID uint64 // the highest of which there was a trace when it was opened
}

// Options are those of Open.
type Options struct {
	Now   func() time.Time
	Leave bool          // a damaged file is left as it is, and an error
	IDs   func() uint64 // the last ID that was given
	Begin func()        // is called before Found, which is for one file only
	Found func(Found) (ok bool)
}

// Found is a record that was there when the file was opened.
type Found struct {
	Name  string
	Token []byte // borrowed
	ID    uint64
	Size  int64
	Put   int64 // when it was put, in seconds since 1970; 0: not known
	Moved bool  // it may be in the log as well, and is done there
}

// Item is a record to be put.
type Item struct {
	Name   string
	Moved  bool // from the log
	Record *store.SpoolRecord
}

// Key names a record.
type Key struct {
	Name string
	ID   uint64
	key  []byte
}

// KeyOf is the key of a record.
func KeyOf(name string, token []byte, id uint64) Key { return Key{name, id, keyOf(token, id)} }

func keyOf(token []byte, id uint64) []byte {
	b := make([]byte, 0, 2+len(token)+8)
	b = append(be.AppendUint16(b, uint16(len(token))), token...)
	return be.AppendUint64(b, id)
}

// splitKey takes a key apart.
func splitKey(key []byte) (token []byte, id uint64, ok bool) {
	if len(key) < 10 || int(be.Uint16(key)) != len(key)-10 {
		return nil, 0, false
	}
	return key[2 : len(key)-8], be.Uint64(key[len(key)-8:]), true
}

// Open opens the file at path, and tells what is in it. If it is damaged it is set aside
// and a new one takes its place, or it is left as it is.
func Open(path string, o Options) (*DB, *boltfile.SetAside, error) {
	db := &DB{Options: o}
	options := boltfile.Options{Version: version, Now: o.Now, Leave: o.Leave}
	f, aside, err := boltfile.Open(path, options, func(tx *bbolt.Tx) error {
		o.Begin()
		if err := db.prepare(tx); err != nil {
			return err
		}
		return db.look(tx)
	})
	db.File = f
	return db, aside, err
}

func (db *DB) prepare(tx *bbolt.Tx) error {
	if _, err := tx.CreateBucketIfNotExists(queuesBucket); err != nil {
		return err
	}
	meta := tx.Bucket(boltfile.MetaBucket)
	if b := meta.Get(saltKey); len(b) == 4 {
		db.Salt = be.Uint32(b)
		return nil
	}
	db.New = true
	db.Salt = 1 + rand.Uint32N(1<<32-1)
	return meta.Put(saltKey, be.AppendUint32(nil, db.Salt))
}

func (db *DB) look(tx *bbolt.Tx) error {
	root := tx.Bucket(queuesBucket)
	db.LastID = root.Sequence()
	return root.ForEachBucket(func(name []byte) error {
		found := Found{Name: string(name)}
		return root.Bucket(name).ForEach(func(key, value []byte) (err error) {
			var ok bool
			if found.Token, found.ID, ok = splitKey(key); !ok {
				return boltfile.Damage("a key has %d bytes", len(key))
			}
			f, ok := seglog.ReadFrame(value, db.Salt)
			found.Size, found.Put, found.Moved = seglog.ValueSize(value), 0, true
			if ok {
				found.Put, found.Moved = int64(f.Put), f.Kind == seglog.Moved
			}
			if db.LastID = max(db.LastID, found.ID); !db.Found(found) {
				return boltfile.Damage("a line's name has %d bytes", len(name))
			}
			return nil
		})
	})
}

// Put puts records, or rewrites the flags of those that are there.
func (db *DB) Put(ctx context.Context, items iter.Seq[Item]) error {
	return db.Update(ctx, func(tx *bbolt.Tx) error {
		now, root := db.Now(), tx.Bucket(queuesBucket)
		if err := db.saveLastID(root); err != nil {
			return err
		}
		for it := range items {
			b, err := root.CreateBucketIfNotExists([]byte(it.Name))
			if err != nil {
				return err
			}
			key, kind, r := keyOf(it.Record.Token, it.Record.ID), seglog.InQueue, *it.Record
			if it.Moved {
				kind = seglog.Moved
			}
			if old := b.Get(key); old != nil { // its flags are rewritten
				f, ok := seglog.ReadFrame(old, db.Salt)
				before := f.Record(old)
				if !ok || before.Broken != nil {
					continue // an error would be that of all who share the transaction
				}
				kind, r.Expires, r.Body = f.Kind, before.Expires, before.Body
			}
			value := make([]byte, 0, seglog.FrameSize(len(it.Name), len(r.Token), len(r.Flags)+len(r.Body)))
			if err := b.Put(key, seglog.AppendFrame(value, db.Salt, kind, it.Name, now, &r)); err != nil {
				return err
			}
		}
		return nil
	}, func() {})
}

func (db *DB) saveLastID(root *bbolt.Bucket) error {
	return root.SetSequence(max(db.IDs(), root.Sequence()))
}

// Value is a record as it stands there, borrowed.
type Value struct {
	Token []byte
	ID    uint64
	Bytes []byte
}

// Size is how many bytes the record counts.
func (v *Value) Size() int64 { return seglog.ValueSize(v.Bytes) }

// Record copies the record, which may be broken.
func (v *Value) Record(salt uint32) store.SpoolRecord {
	r := store.SpoolRecord{Broken: seglog.ErrBroken}
	if f, ok := seglog.ReadFrame(v.Bytes, salt); ok && f.ID == v.ID {
		r = f.Record(v.Bytes)
	}
	r.ID, r.Token, r.Queued = v.ID, append([]byte{}, v.Token...), true
	return r
}

// Each calls fn with what is in the queues of a name, from a token and an ID on, in the
// order of these, until it is false. A nil token is before all others.
func (db *DB) Each(ctx context.Context, name string, token []byte, id uint64, fn func(Value) bool) error {
	return db.View(ctx, func(tx *bbolt.Tx) error {
		b := tx.Bucket(queuesBucket).Bucket([]byte(name))
		if b == nil {
			return nil
		}
		var from []byte
		if token != nil {
			from = keyOf(token, id)
		}
		c := b.Cursor()
		for key, value := c.Seek(from); key != nil; key, value = c.Next() {
			if token, id, ok := splitKey(key); ok && !fn(Value{token, id, value}) {
				return nil
			}
		}
		return nil
	})
}

// Delete deletes records, and with none tries whether the file can be written.
func (db *DB) Delete(ctx context.Context, keys []Key) error {
	return db.Update(ctx, func(tx *bbolt.Tx) error {
		root := tx.Bucket(queuesBucket)
		err := db.saveLastID(root)
		touched := make(map[string]*bbolt.Bucket)
		for _, k := range keys {
			if touched[k.Name] == nil {
				touched[k.Name] = root.Bucket([]byte(k.Name))
			}
			if b := touched[k.Name]; b != nil {
				err = errors.Join(err, b.Delete(k.key))
			}
		}
		for name, b := range touched { // those that are empty then go too
			if b == nil {
				continue
			}
			if first, _ := b.Cursor().First(); first == nil {
				err = errors.Join(err, root.DeleteBucket([]byte(name)))
			}
		}
		return err
	}, func() {})
}
