package bridge

import (
	"context"

	"apnsbridge/bridge/lane"
	"apnsbridge/store"
)

// SpoolMode is which notifications are written to disk.
type SpoolMode lane.Mode

// The modes, as in the configuration.
const (
	SpoolOff      = SpoolMode(lane.Off)      // none: what waits is in memory, and a crash loses it
	SpoolOverflow = SpoolMode(lane.Overflow) // those that have to wait, and at the end those without a verdict
	SpoolAlways   = SpoolMode(lane.Always)   // all, before they are forwarded
)

// Spool keeps notifications on disk: the part of store.Spool that the bridge
// needs.
type Spool interface {
	Put(ctx context.Context, batches ...store.SpoolBatch) error
	Take(ctx context.Context, line store.Line, limit int, bytes int64) ([]store.SpoolRecord, error)
	TakeOf(ctx context.Context, line store.Line, token []byte, limit int, bytes int64) ([]store.SpoolRecord, error)
	Sample(ctx context.Context, line store.Line, limit int, free func(token []byte) bool) ([]store.SpoolRecord, error)
	Return(line store.Line, keys ...store.SpoolKey)
	Done(line store.Line, keys ...store.SpoolKey)
	Waiting(line store.Line) int
	Queued(line store.Line, token []byte) bool
	Lines() []store.Line
	Devices(ctx context.Context, line store.Line, after []byte, limit int) ([]store.QueuedDevice, error)
	Stats() store.SpoolStats
}

// Unspooled says why notifications that should be on disk are not; nil if they are.
// In SpoolAlways such notifications are not forwarded.
func (b *Bridge) Unspooled() (err error) {
	b.everyLane(func(l *appLane) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.failure != nil {
			err = l.failure
		}
	})
	return err
}
