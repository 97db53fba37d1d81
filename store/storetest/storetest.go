// Package storetest is what every store must pass.
package storetest

import (
	"context"
	"time"

	"pgregory.net/rapid"
)

// Settings are what a test asks of the store it opens.
type Settings struct {
	Entries int           // of one app's feedback list; 0 is the default
	Age     time.Duration // of a feedback entry; 0 is the default
	Spool   int64         // bytes of the spool; 0 is the default
	Reserve int64         // bytes beyond these for moves; 0 is the default
	Now     func() time.Time
}

// Place is where one test's store lives: each call opens it, after closing
// what an earlier call opened there. A new place is empty.
type Place[S any] func(Settings) S

const app = "mail"

var (
	ctx   = context.Background()
	epoch = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
)

func at(ms int) time.Time { return epoch.Add(time.Duration(ms) * time.Millisecond) }

func must(t rapid.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
