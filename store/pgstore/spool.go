package pgstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"apnsbridge/store"
)

// Spool implements store.OwnedSpool. Which records are checked out is known in memory alone,
// because an app has one owner.
type Spool struct {
	engine *engine
	node   string
	now    func() time.Time
	bounds spoolBounds
	fenced func() // may be nil

	end context.CancelFunc
	wg  sync.WaitGroup

	mu      sync.Mutex // guards everything below, and what is in lines
	apps    map[string]*ownedApp
	lines   map[store.Line]*line
	last    uint64 // the last ID that was given
	total   int64  // bytes
	swept   time.Time
	expired uint64
	broken  uint64
}

// ownedApp is an app that this node has.
type ownedApp struct {
	owner owner
	bytes int64
}

// line is the log and the queues of a line.
type line struct {
	name store.Line
	app  *ownedApp

	// busy is held during each request to the engine about the line. There is one at a
	// time, so that what is written of a row is what memory has.
	busy chan struct{}

	log        []*batch // ordered by first
	logRecords int      // records that are not gone
	waiting    int      // those of them that are not checked out
	changed    []*batch // batches whose row is out of date

	devices map[string]*device // devices that have a queue, by token
	queued  int                // records in queues that are not done
	soonest int64              // a lower bound of the expiries in queues; 0: none expires
	since   int64              // when the oldest record in a queue was put
	bytes   int64

	done    []queuedKey // rows of queues that are to be deleted
	doubts  []doubt
	writing bool // a write has emptied the lists above, and has no answer yet
}

// device is a device's queue. Records that are not checked out are in the engine only.
type device struct {
	records int // not done
	bytes   int64
	held    map[uint64]*queuedRecord // checked out, or done but not deleted yet
}

type queuedRecord struct {
	cost int64
	done bool
}

func newSpool(e *engine, c Config) *Spool {
	s := &Spool{engine: e, node: c.Node, now: c.Now, bounds: newSpoolBounds(c), fenced: c.Fenced,
		apps: make(map[string]*ownedApp), lines: make(map[store.Line]*line)}
	var ctx context.Context
	ctx, s.end = context.WithCancel(context.Background())
	s.wg.Go(func() { s.flushSoon(ctx) })
	return s
}

// close stops flushing, after a last Flush.
func (s *Spool) close() {
	s.end()
	s.wg.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_ = s.Flush(ctx)
}

// flushEach is how soon records that are done are deleted durably.
const flushEach = 100 * time.Millisecond

func (s *Spool) flushSoon(ctx context.Context) {
	tick := time.NewTicker(flushEach)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			// If it fails, the next one tries again.
			if err := s.flush(ctx, (*line).dirty); s.fenced != nil && errors.Is(err, store.ErrNotOurs) {
				s.fenced()
			}
		}
	}
}

// Own implements store.OwnedSpool.
func (s *Spool) Own(ctx context.Context, app string, epoch uint64) error {
	a := &ownedApp{owner: owner{app, s.node, epoch}}
	lines := make(map[store.Line]*line)
	of := func(environment, topic string) *line {
		name := store.Line{App: app, Environment: environment, Topic: topic}
		if lines[name] == nil {
			lines[name] = newLine(name, a)
		}
		return lines[name]
	}
	var turn int64
	if err := s.engine.write(ctx, []owner{a.owner}, func(b *pgx.Batch) {
		b.Queue("select nextval('spool_turn')").QueryRow(func(row pgx.Row) error { return row.Scan(&turn) })
		ownLogs(b, app, of)
		ownQueues(b, app, of)
	}); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disown(app)
	s.apps[app] = a
	s.last = max(s.last, uint64(turn)<<turnBits)
	for name, l := range lines {
		s.lines[name] = l
		a.bytes += l.bytes
		s.total += l.bytes
	}
	return nil
}

// ownLogs queries the logs of an app and adds them to its lines.
func ownLogs(b *pgx.Batch, app string, of func(environment, topic string) *line) {
	b.Queue(`
		select environment, topic, first, records, soonest, since, gone, octet_length(heads) + octet_length(bodies)
		from spool_log where app = $1 order by first`, app).Query(func(rows pgx.Rows) error {
		var environment, topic string
		var first, soonest, since, size int64
		var records int
		var gone []byte
		_, err := pgx.ForEachRow(rows, []any{&environment, &topic, &first, &records, &soonest, &since, &gone, &size},
			func() error {
				b := newBatch(uint64(first), records)
				copy(b.gone, gone) // empty in a new row
				b.ended, b.soonest, b.since, b.cost = b.gone.count(), soonest, since, size+batchCost
				of(environment, topic).add(b)
				return nil
			})
		return err
	})
}

// ownQueues queries the queues of an app and adds them to its lines.
func ownQueues(b *pgx.Batch, app string, of func(environment, topic string) *line) {
	b.Queue(`
		select environment, topic, device, count(*), sum(octet_length(body) + octet_length(device) - 2)::bigint,
			coalesce(min(nullif(expires, 0)), 0), min(since)
		from spool_queue where app = $1 group by 1, 2, 3`, app).Query(func(rows pgx.Rows) error {
		var environment, topic string
		var key []byte
		var records int
		var size, soonest, since int64
		_, err := pgx.ForEachRow(rows, []any{&environment, &topic, &key, &records, &size, &soonest, &since},
			func() error {
				l := of(environment, topic)
				d := l.device(key[2:])
				d.records, d.bytes = records, size+int64(records)*queuedCost
				l.queued += records
				l.bytes += d.bytes
				l.soonest, l.since = sooner(l.soonest, soonest), sooner(l.since, since)
				return nil
			})
		return err
	})
}

// turnBits is the number of bits for the IDs of one turn, which is as many as an owner can give.
const turnBits = 36

// Disown implements store.OwnedSpool.
func (s *Spool) Disown(app string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disown(app)
}

func (s *Spool) disown(app string) {
	if a := s.apps[app]; a != nil {
		s.total -= a.bytes
		delete(s.apps, app)
	}
	for name := range s.lines {
		if name.App == app {
			delete(s.lines, name)
		}
	}
}

func newLine(name store.Line, a *ownedApp) *line {
	return &line{name: name, app: a, busy: make(chan struct{}, 1), devices: make(map[string]*device)}
}

// add puts a batch at the end of the log.
func (l *line) add(b *batch) {
	l.log = append(l.log, b)
	l.logRecords += b.records - b.ended
	l.waiting += b.waiting()
	l.bytes += b.cost
}

func (l *line) device(token []byte) *device {
	d := l.devices[string(token)]
	if d == nil {
		d = &device{held: make(map[uint64]*queuedRecord)}
		l.devices[string(token)] = d
	}
	return d
}

// sooner returns the lower of two times; 0 means none.
func sooner(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

func (l *line) hold(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case l.busy <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *line) release() { <-l.busy }

// grow adds to the bytes of the line, the app and the spool; bytes may be negative.
func (s *Spool) grow(l *line, bytes int64) {
	l.bytes += bytes
	l.app.bytes += bytes
	if s.apps[l.name.App] == l.app {
		s.total += bytes
	}
}

// find returns the batch that has an ID, nil if there is none.
func (l *line) find(id uint64) *batch {
	i, ok := slices.BinarySearchFunc(l.log, id, func(b *batch, id uint64) int { return cmp.Compare(b.first, id) })
	if !ok {
		i--
	}
	if i < 0 || id-l.log[i].first >= uint64(l.log[i].records) {
		return nil
	}
	return l.log[i]
}

// checkLine returns why a line with these names can never be stored, nil if it can.
func checkLine(l store.Line) error {
	names := l.App + l.Environment + l.Topic
	switch {
	case l.App == "" || l.Environment == "":
		return fmt.Errorf("%w: a line without an app or an environment", store.ErrUnstorable)
	case len(names) > store.MaxSpoolName:
		return fmt.Errorf("%w: a line's names of %d bytes; %d are the most", store.ErrUnstorable, len(names),
			store.MaxSpoolName)
	case strings.ContainsRune(names, 0) || strings.ToValidUTF8(names, "") != names:
		return fmt.Errorf("%w: a line's names are no text", store.ErrUnstorable)
	}
	return nil
}
