package upstream

import (
	"sync"
	"time"

	"github.com/sideshow/apns2/token"
)

// APNs refuses a JWT older than an hour, and one that follows another within 20
// minutes.
const (
	bearerAge      = 45 * time.Minute
	bearerInterval = 20 * time.Minute
)

// Bearer has the JWT of one signing key, and mints the next in time. Whoever
// asks while one is minted waits for it.
type Bearer struct {
	key *token.Token
	now func() time.Time

	mu      sync.Mutex
	value   string // "bearer " and the JWT
	minted  time.Time
	renewed time.Time // when APNs last made us mint before our time
}

// current gives the authorization header.
func (b *Bearer) current() (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if age := b.now().Sub(b.minted); b.value != "" && age >= 0 && age < bearerAge {
		return b.value, nil
	}
	return b.value, b.mint()
}

// renew mints another JWT because APNs has refused the one given: at most once
// in 20 minutes, and not if that one is gone already. It says whether it did.
func (b *Bearer) renew(refused string) (renewed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	if refused != b.value || !b.renewed.IsZero() && now.Sub(b.renewed) < bearerInterval {
		return false
	}
	b.renewed = now
	return b.mint() == nil
}

func (b *Bearer) mint() error {
	if _, err := b.key.Generate(); err != nil {
		return err
	}
	b.value, b.minted = "bearer "+b.key.Bearer, b.now()
	return nil
}
