package bridge

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

	"apnsbridge/bridge/complaint"
	"apnsbridge/bridge/conversation"
	"apnsbridge/bridge/lane"
	"apnsbridge/store"
)

// Ledger is the log below the clients' ledgers as the bridge needs it: a
// store.Ledger.
type Ledger interface {
	Append(ctx context.Context, records ...store.LedgerRecord) error
	Load(ctx context.Context, fn func(store.LedgerRecord) error) error
	Replace(ctx context.Context, records ...store.LedgerRecord) error
}

// ledgerLog writes what the ledgers want to find again after a restart. A packet
// goes out when its records are durable: a provider that resends after a crash
// of ours must be recognised. Without a store it goes out at once.
type ledgerLog struct {
	store Ledger        // nil: there is none
	delay time.Duration // after an error, before the next attempt
	log   zerolog.Logger
	fault *complaint.Complaint
	wake  chan struct{}

	behind atomic.Int64 // records that wait until what they may speak of is on disk

	unwritten map[string]store.LedgerRecord // by key; of run alone

	mu       sync.Mutex
	queue    []ledgerJob
	writing  int                              // jobs
	restored map[string][]conversation.Record // of clients that have not come yet
	guards   map[string]conversation.Record   // by lane and line: what their guards know
	failures uint64

	committed bool // what the last run took was on disk before it was forwarded, and still is
}

type ledgerJob struct {
	records []conversation.Record
	then    func()
}

func newLedgerLog(s Ledger, delay time.Duration, log zerolog.Logger) *ledgerLog {
	return &ledgerLog{
		store: s, delay: delay, log: log, unwritten: make(map[string]store.LedgerRecord), wake: make(chan struct{}, 1), restored: make(map[string][]conversation.Record), guards: make(map[string]conversation.Record),
		fault: complaint.New(log, "the resend ledger cannot be written: after a crash resends would arrive twice",
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

// begin says to whoever comes after a crash whether all is on disk. It is durable
// when it returns.
func (l *ledgerLog) begin(allOnDisk bool) error {
	if l.store == nil || allOnDisk == l.committed {
		return nil
	}
	record := runRecord
	if allOnDisk {
		record.Value = []byte{1}
	}
	return l.store.Append(context.Background(), appendStored(nil, []conversation.Record{record})...)
}

// load reads what earlier runs have written.
func (l *ledgerLog) load() error {
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

// restore gives a client's ledger what was written of it.
func (l *ledgerLog) restore(ledger *conversation.Ledger, key clientKey, now time.Time) {
	l.mu.Lock()
	records := l.restored[key.recordName()]
	delete(l.restored, key.recordName())
	l.mu.Unlock()
	if err := ledger.Restore(records, l.committed, now); err != nil {
		l.log.Error().Err(err).Str("app", key.app).Msg("a part of the resend ledger is of no use")
	}
}

// guardKey names what is written of a line's guard.
func guardKey(l *appLane, n *lane.Line) string {
	return l.app.name + "\x00" + l.environment.String() + "\x00" + n.Name
}

// restoreGuard gives a line's guard what was written of it. l.mu is held.
func (l *ledgerLog) restoreGuard(to *appLane, n *lane.Line, now lane.Now) {
	l.mu.Lock()
	record, ok := l.guards[guardKey(to, n)]
	l.mu.Unlock()
	if !ok {
		return
	}
	if err := to.core.Restore(n, record.Value, now); err != nil {
		l.log.Error().Err(err).Str("app", to.app.name).Msg("it is not known when APNs last accepted a push")
	}
}

// saveGuard writes what a line's guard knows. The lane's lock is held.
func (l *ledgerLog) saveGuard(key string, state []byte, now time.Time) {
	record := conversation.Record{Key: []byte(guardPrefix + key), Value: state, Expires: now.Add(lane.GuardLife)}
	l.mu.Lock()
	l.guards[key] = record
	l.mu.Unlock()
	l.write([]conversation.Record{record}, nil)
}

// write makes records durable and then calls then, in the order of the calls. If
// the store fails, then is called all the same: the ledger in memory is whole.
func (l *ledgerLog) write(records []conversation.Record, then func()) {
	if l.store == nil || len(records) == 0 {
		if then != nil {
			then()
		}
		return
	}
	l.mu.Lock()
	l.queue = append(l.queue, ledgerJob{records, then})
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run writes until done, and then what is left.
func (l *ledgerLog) run(done <-chan struct{}) {
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
func (l *ledgerLog) commit(jobs []ledgerJob) {
	all := slices.Collect(maps.Values(l.unwritten))
	for _, job := range jobs {
		all = appendStored(all, job.records)
	}
	if len(all) == 0 {
		return
	}
	err := l.store.Append(context.Background(), all...)
	l.wrote(err)
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

// replace writes records in place of all there are, besides those of
// clients that have not come and of the guards.
func (l *ledgerLog) replace(records []conversation.Record) {
	if l.store == nil {
		return
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
	l.wrote(l.store.Replace(context.Background(), all...))
}

// wrote takes note of what came of writing.
func (l *ledgerLog) wrote(err error) {
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

// figures are how many jobs wait, and how many commits have failed.
func (l *ledgerLog) figures() (waiting int, failures uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue) + l.writing + int(l.behind.Load()), l.failures
}
