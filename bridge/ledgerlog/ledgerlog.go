// Package ledgerlog writes down what the clients' ledgers, and the guards of lines, want to
// find again after a restart.
package ledgerlog

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"apnsbridge/bridge/conversation"
	"apnsbridge/bridge/pace"
	"apnsbridge/store"
)

// Store is what is below: a store.Ledger.
type Store interface {
	Append(ctx context.Context, records ...store.LedgerRecord) error
	Load(ctx context.Context, fn func(store.LedgerRecord) error) error
	Replace(ctx context.Context, records ...store.LedgerRecord) error
}

// Log is one, of all apps. A packet
// goes out when its records are durable: a provider that resends after a crash
// of ours must be recognised. Without a store it goes out at once.
type Log struct {
	store Store         // nil: there is none
	delay time.Duration // after an error, before the next attempt
	fault *pace.Fault
	wake  chan struct{}

	Behind  atomic.Int64 // records that wait until what they may speak of is on disk
	failing atomic.Bool  // the latest commit was

	unwritten map[string]store.LedgerRecord // by key; of run alone

	mu       sync.Mutex
	queue    []job
	writing  int                              // jobs
	restored map[string][]conversation.Record // of clients that have not come yet
	guards   map[string]conversation.Record   // by lane and line: what their guards know
	failures uint64

	committed bool // what the last run took was on disk before it was forwarded, and still is
}

type job struct {
	records []conversation.Record
	then    func()
}

// New makes a log above s, or none with nil. An error of the store is followed by another
// attempt after delay.
func New(s Store, delay time.Duration, log zerolog.Logger) *Log {
	return &Log{
		store: s, delay: delay, wake: make(chan struct{}, 1), unwritten: make(map[string]store.LedgerRecord),
		restored: make(map[string][]conversation.Record), guards: make(map[string]conversation.Record),
		fault: pace.NewFault(log, time.Now, "the resend ledger cannot be written: after a crash resends would arrive twice",
			"the resend ledger can be written again"),
	}
}

// guardPrefix begins the keys of records about lines. A client's begin with its
// name, which is not empty.
const guardPrefix = "\x00guard\x00"

// runRecord says how the present run keeps what it takes: that all of it is on
// disk before it is forwarded, or, without a value, that it is not. A run that ends
// in order has nothing without a verdict, and takes the record away.
var runRecord = conversation.Record{Key: []byte("\x00run"), Expires: time.Unix(1<<40, 0)}

// Open reads what earlier runs have written, and says to whoever comes after a crash whether
// all that this one takes is on disk before it is forwarded.
func (l *Log) Open(allOnDisk bool) error {
	if err := l.load(); err != nil {
		return err
	}
	return l.begin(allOnDisk)
}

// begin notes whether everything is on disk from now on. That is durable when it returns.
func (l *Log) begin(allOnDisk bool) error {
	if l.store == nil || allOnDisk == l.committed {
		return nil
	}
	record := runRecord
	if allOnDisk {
		record.Value = []byte{1}
	}
	if err := l.store.Append(context.Background(), appendStored(nil, []conversation.Record{record})...); err != nil {
		return fmt.Errorf("the resend ledger cannot be written: %w", err)
	}
	return nil
}

// Durable reports whether there is a store.
func (l *Log) Durable() bool { return l.store != nil }

// SpoolLost says that what the last run had on disk is there no more.
func (l *Log) SpoolLost() { l.committed = false }

// load reads what earlier runs have written.
func (l *Log) load() error {
	if l.store == nil {
		return nil
	}
	err := l.store.Load(context.Background(), func(r store.LedgerRecord) error {
		record := conversation.Record{Key: bytes.Clone(r.Key), Value: bytes.Clone(r.Value), Expires: r.Expires}
		if key, ok := strings.CutPrefix(string(r.Key), guardPrefix); ok {
			l.guards[key] = record
			return nil
		}
		if bytes.Equal(r.Key, runRecord.Key) {
			l.committed = true
			return nil
		}
		client := conversation.Client(r.Key)
		l.restored[client] = append(l.restored[client], record)
		return nil
	})
	if err != nil {
		return fmt.Errorf("the resend ledger cannot be read: %w", err)
	}
	return nil
}

// Restore gives the ledger of a client, by the name in its records, what was written of it.
func (l *Log) Restore(ledger *conversation.Ledger, client string, now time.Time) error {
	l.mu.Lock()
	records := l.restored[client]
	delete(l.restored, client)
	l.mu.Unlock()
	return ledger.Restore(records, l.committed, now)
}

// Unfinished gives the names of the clients that have not come since the start, and of
// which more is left than habits.
func (l *Log) Unfinished() (clients []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for client, records := range l.restored {
		if slices.ContainsFunc(records, conversation.Record.IsEpisode) {
			clients = append(clients, client)
		}
	}
	return clients
}

// Guard gives what was written of the guard of that name, nil if there is nothing.
func (l *Log) Guard(key string) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.guards[key].Value
}

// SaveGuard writes what the guard of that name knows, which is of use until expires.
func (l *Log) SaveGuard(key string, state []byte, expires time.Time) {
	record := conversation.Record{Key: []byte(guardPrefix + key), Value: state, Expires: expires}
	l.mu.Lock()
	l.guards[key] = record
	l.mu.Unlock()
	l.Write([]conversation.Record{record}, nil)
}

// Write makes records durable and then calls then, in the order of the calls. If
// the store fails, then is called all the same: the ledger in memory is whole.
func (l *Log) Write(records []conversation.Record, then func()) {
	if l.store == nil || len(records) == 0 {
		if then != nil {
			then()
		}
		return
	}
	l.mu.Lock()
	l.queue = append(l.queue, job{records, then})
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Run writes until done, and then what is left.
func (l *Log) Run(done <-chan struct{}) {
	for {
		ended := false
		var again <-chan time.Time
		if len(l.unwritten) > 0 {
			again = time.After(l.delay)
		}
		select {
		case <-l.wake:
		case <-again:
		case <-done:
			ended = true
		}
		l.mu.Lock()
		jobs := l.queue
		l.queue, l.writing = nil, len(jobs)
		l.mu.Unlock()
		l.commit(jobs)
		l.mu.Lock()
		l.writing = 0
		l.mu.Unlock()
		if ended && len(jobs) == 0 {
			return
		}
	}
}

// commit writes all that came during the last commit in one, behind what could
// not be written then.
func (l *Log) commit(jobs []job) {
	all := slices.Collect(maps.Values(l.unwritten))
	for _, job := range jobs {
		all = appendStored(all, job.records)
	}
	if len(all) == 0 {
		return
	}
	err := l.store.Append(context.Background(), all...)
	l.wrote(err)
	l.failing.Store(err != nil)
	clear(l.unwritten)
	if err != nil {
		for _, r := range all {
			l.unwritten[string(r.Key)] = r
		}
	}
	for _, job := range jobs {
		if job.then != nil {
			job.then()
		}
	}
}

// Replace writes records in place of all there are, besides those of
// clients that have not come and of the guards. Without a store there is no error.
func (l *Log) Replace(ctx context.Context, records []conversation.Record) error {
	if l.store == nil {
		return nil
	}
	all := appendStored(nil, records)
	l.mu.Lock()
	for _, waiting := range l.restored {
		all = appendStored(all, waiting)
	}
	for _, guard := range l.guards {
		all = appendStored(all, []conversation.Record{guard})
	}
	l.mu.Unlock()
	err := l.store.Replace(ctx, all...)
	l.wrote(err)
	return err
}

// wrote takes note of what came of writing.
func (l *Log) wrote(err error) {
	l.fault.Met(err)
	if err != nil {
		l.mu.Lock()
		l.failures++
		l.mu.Unlock()
	}
}

// appendStored turns records into the store's. One without a value takes its
// key away, which the store knows as one that has expired.
func appendStored(to []store.LedgerRecord, records []conversation.Record) []store.LedgerRecord {
	for _, r := range records {
		if len(r.Value) == 0 {
			r.Expires = time.Unix(0, 0)
		}
		to = append(to, store.LedgerRecord(r))
	}
	return to
}

// Failing reports whether there are records that could not be written, when that was tried
// last.
func (l *Log) Failing() bool { return l.failing.Load() }

// Figures are how many jobs wait, and how many commits have failed.
func (l *Log) Figures() (waiting int, failures uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue) + l.writing + int(l.Behind.Load()), l.failures
}
