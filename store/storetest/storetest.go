// Package storetest has the tests that every store must pass.
package storetest

import (
	"context"
	"time"

	"pgregory.net/rapid"
)

// Settings are a test's settings for the store that it opens.
type Settings struct {
	Entries int           // of one app's feedback list; 0 is the default
	Age     time.Duration // of a feedback entry; 0 is the default
	Spool   int64         // bound of the spool in bytes; 0 is the default
	Reserve int64         // bytes beyond Spool for moves only; 0 is the default
	Now     func() time.Time
}

// Place is where one test's store lives: each call opens it, after closing what the
// call before opened there. A new place is empty.
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
