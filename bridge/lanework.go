package bridge

import (
	"context"
	"errors"
	"math"
	"time"

	"apnsbridge/bridge/lane"
	"apnsbridge/bridge/trace"
	"apnsbridge/store"
)

const (
	putItems = 1024    // at most, in one commit of a lane
	putBytes = 4 << 20 // at most, in one commit of a lane

	// roomAfter is how soon writing is tried again after the spool was full while
	// what is on disk goes to APNs, which makes room.
	roomAfter = 20 * time.Millisecond
)

// start begins the lane's goroutine. l.mu is held.
func (l *appLane) start() {
	if b := l.app.bridge; b.writing != nil { // else nothing runs yet
		l.running = true
		b.writers.Go(func() { l.run(b.writing.Done()) })
	}
}

// run does what is due, writes and reads, until done is closed and everything that can be
// written is.
func (l *appLane) run(done <-chan struct{}) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	ending := false
	for {
		wait := l.work()
		if ending && l.settle() {
			return
		}
		timer.Reset(wait)
		select {
		case <-l.wake:
		case <-timer.C:
		case <-done:
			ending, done = true, nil
			timer.Reset(0)
		}
	}
}

// work is one round: what is due, one write and one read. It gives how long there will be
// nothing to do, unless something happens.
func (l *appLane) work() time.Duration {
	now := l.lock()
	l.core.Tend(now)
	batch := l.core.Begin(putItems, putBytes, now)
	l.bodies.inFlight(batch)
	l.pass() // what was to be written may have ended
	noRoom := errors.Is(l.failure, store.ErrSpoolFull) || errors.Is(l.failure, store.ErrDeviceFull)
	over := noRoom && l.core.Unwritten() == 0 // a full disk is no trouble then, but a broken one still is
	if over {
		l.failure = nil
	}
	l.unlock()
	if over {
		l.app.bridge.spoolFault.Met(nil)
	}
	if len(batch) > 0 {
		l.write(batch)
	}
	now = l.lock()
	reads, room := l.core.Plan(now)
	l.unlock()
	if len(reads) > 0 {
		l.read(reads, room)
	}
	now = l.lock()
	next := l.core.Next()
	l.next.Store(next)
	l.troubled.Store(l.core.Troubled())
	l.unlock()
	if next == math.MaxInt64 {
		return time.Hour
	}
	return max(0, time.Duration(next)-now.Mono)
}

// nudge wakes the lane's goroutine if it has something to do by now: its timer knows only
// the machine's clock.
func (l *appLane) nudge(now lane.Now) {
	if l.next.Load() <= int64(now.Mono) {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

// settle ends what is left when the process ends, once everything has come back from the
// upstreams and is written or never will be. It reports whether that is so.
func (l *appLane) settle() bool {
	now := l.lock()
	defer l.unlock()
	if l.core.Out() > 0 || l.core.Unwritten() > 0 && l.failure == nil {
		return false
	}
	l.core.Abandon(now)
	return true
}

// write stores a batch, or as much of it as the disk takes.
func (l *appLane) write(batch []*lane.Item) {
	records := l.bodies.records(batch)
	k, err := l.put(batch, records)
	l.app.bridge.bury(batch[:k])
	now := l.lock()
	for i, it := range batch[:k] {
		it.ID = records[i].ID
	}
	full, crowded := errors.Is(err, store.ErrSpoolFull), errors.Is(err, store.ErrDeviceFull)
	spills := crowded && l.core.Spills(batch[k])
	l.core.Commit(k, full || crowded && !spills, now)
	switch {
	case spills, errors.Is(err, store.ErrUnstorable):
		l.core.GiveUp(batch[k], now)
		err = nil
	case full, crowded:
		l.core.RetrySoon(now.Mono + roomAfter)
	}
	if err != nil || !l.core.Stuck() {
		l.failure = err
	}
	l.pass()
	l.unlock()
	l.app.bridge.spoolFault.Met(err)
}

// pass schedules what was waiting for something that is on disk by now. The caller holds l.mu.
func (l *appLane) pass() { l.todo.then = append(l.todo.then, l.core.Passed()...) }

// put stores as many of records as it can, from the first. It gives how many those were, and
// the error that kept it from storing the next.
func (l *appLane) put(batch []*lane.Item, records []store.SpoolRecord) (k int, err error) {
	spool := l.app.bridge.spool
	for size := len(records); k < len(records); {
		// Log and queues go separately: if one cannot be written, nothing of the same Put
		// may be found in the other after a crash.
		same := 1
		for same < size && records[k+same].Queued == records[k].Queued {
			same++
		}
		size = same
		err = spool.Put(background, batchesOf(batch[k:k+size], records[k:k+size])...)
		switch {
		case err == nil:
			k += size
			size = len(records) - k
		case size > 1 &&
			(errors.Is(err, store.ErrSpoolFull) || errors.Is(err, store.ErrDeviceFull) || errors.Is(err, store.ErrUnstorable)):
			size /= 2
		default:
			return k, err
		}
	}
	return k, nil
}

// batchesOf groups records by their lines, and keeps the order within each.
func batchesOf(batch []*lane.Item, records []store.SpoolRecord) (all []store.SpoolBatch) {
	start := 0
	for i := range batch {
		if i+1 < len(batch) && batch[i+1].Line == batch[start].Line {
			continue
		}
		all = append(all, store.SpoolBatch{Line: lineOf(batch[start].Line), Records: records[start : i+1]})
		start = i + 1
	}
	return all
}

// read carries out what is to be read.
func (l *appLane) read(reads []*lane.Read, room int64) {
	for _, r := range reads {
		room -= l.readOne(r, room)
	}
	now := l.lock()
	l.core.Enter(reads, now)
	l.unlock()
	for _, r := range reads {
		l.app.bridge.readFault.Met(r.Err)
		if r.Err != nil {
			return
		}
	}
}

// readOne carries out r, with room for that many bytes. It gives how many it took.
func (l *appLane) readOne(r *lane.Read, room int64) (took int64) {
	spool, bytes := l.app.bridge.spool, max(1, room/2)
	if room <= 0 && (r.From == lane.Log || r.From == lane.Queue) {
		r.Skipped = true
		return 0
	}
	// Half of the room is for what notifications cost besides their bytes.
	limit := int(min(int64(r.Limit), max(1, bytes/notificationOverhead)))
	for _, n := range r.Lines {
		var records []store.SpoolRecord
		switch line := lineOf(n); r.From {
		case lane.Log:
			records, r.Err = spool.Take(background, line, limit, bytes)
		case lane.Queue:
			records, r.Err = spool.TakeOf(background, line, r.Device, limit, bytes)
		case lane.Sample:
			records, r.Err = spool.Sample(background, line, r.Limit, func(token []byte) bool {
				l.mu.Lock()
				defer l.mu.Unlock()
				return !n.Knows(token)
			})
		case lane.List:
			var devices []store.QueuedDevice
			devices, r.Err = spool.Devices(background, line, r.After, r.Limit)
			for _, d := range devices {
				r.Devices = append(r.Devices, d.Token)
			}
		}
		for i := range records {
			took += l.take(r, n, &records[i])
		}
		if len(records) > 0 || r.Err != nil {
			break
		}
	}
	return took
}

// take makes a notification of a record that was read.
func (l *appLane) take(r *lane.Read, line *lane.Line, record *store.SpoolRecord) (size int64) {
	n, err := readBody(record)
	n.lane, n.Line = l, line
	n.Stored(record.Queued)
	l.app.bridge.unsettled.Add(1)
	l.app.account.Add(n.Size)
	if err != nil {
		l.app.bridge.log.Error().Err(err).Str("app", l.app.name).Stringer("environment", l.environment).
			Uint64("id", record.ID).Msg("a notification in the spool cannot be read: it is given up, and the others go on")
		r.Broken = append(r.Broken, &n.Item)
		return n.Size
	}
	l.counters.replayed.Add(1)
	l.note(n, trace.Read, "")
	r.Got = append(r.Got, &n.Item)
	return n.Size
}

var background = context.Background()
