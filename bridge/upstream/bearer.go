package upstream

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"sync"
	"time"
)

// Apple: a provider token is good for an hour after its time of issue, and a key
// may have another one every 20 minutes.
//
// https://developer.apple.com/documentation/usernotifications/establishing-a-token-based-connection-to-apns
const (
	bearerSlot     = 30 * time.Minute
	bearerInterval = 20 * time.Minute
	bearerLife     = time.Hour
)

// bearer has the JWT of one signing key, for all apps of the process. Its time of
// issue is the beginning of the half hour and its signature deterministic
// (RFC 6979), so that restarts and other machines show the same one without a
// word between them: APNs refuses a key that comes with too many.
//
// Whoever asks while one is minted waits for it. Its time is the machine's wall
// clock, given as now.
type bearer struct {
	key           *ecdsa.PrivateKey
	keyID, teamID string

	mu      sync.Mutex
	value   string    // "bearer " and the JWT
	issued  time.Time // its iat
	renewed time.Time // when APNs last made us mint before the time
	skipped time.Time // the half hour for which APNs lets us keep the JWT of the one before
	used    time.Time // when it was last asked for
}

// signer names a signing key.
type signer struct{ public, keyID, teamID string }

// bearers are those of the process. They outlive apps and reloads, for APNs
// remembers as well.
var bearers bearerSet

// bearerSet has one bearer for each signing key.
type bearerSet struct {
	mu  sync.Mutex
	all map[signer]*bearer
}

// of finds the bearer of c, or nil for a certificate. Those that were not
// asked for as long as a JWT lives are forgotten.
func (s *bearerSet) of(c *Credential, now time.Time) *bearer {
	if c.key == nil {
		return nil
	}
	public, err := c.key.PublicKey.Bytes()
	if err != nil {
		panic(err) // NewTokenCredential takes P-256 only
	}
	name := signer{string(public), c.keyID, c.teamID}
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.all[name]
	if b == nil {
		for name, old := range s.all {
			if old.unusedFor(now) > bearerLife {
				delete(s.all, name)
			}
		}
		if s.all == nil {
			s.all = make(map[signer]*bearer)
		}
		b = &bearer{key: c.key, keyID: c.keyID, teamID: c.teamID, used: now}
		s.all[name] = b
	}
	return b
}

func (b *bearer) unusedFor(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return now.Sub(b.used)
}

// current gives the authorization header: the JWT of the present half hour, unless
// there is one of a later half hour, or one that APNs made us mint not long ago.
func (b *bearer) current(now time.Time) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used = now
	slot := now.Truncate(bearerSlot)
	if b.value != "" && (!slot.After(b.issued) || slot.Equal(b.skipped) || b.justRenewed(now)) {
		return b.value, nil
	}
	return b.value, b.mint(slot)
}

// stepBack goes on with the JWT of the half hour before, until the next one begins,
// because APNs has had the key come with that not long ago: from another machine, whose
// clock is behind, or from this one. It is good for as long. It reports whether another
// than the one refused is in use now.
func (b *bearer) stepBack(refused string, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	slot := now.Truncate(bearerSlot)
	switch {
	case refused != b.value:
		return true
	case !b.issued.Equal(slot):
		return false
	}
	b.skipped = slot
	return b.mint(slot.Add(-bearerSlot)) == nil
}

// renew mints a JWT with the present time because APNs calls the one given
// expired, but not again before 20 minutes. It reports whether another one is in
// use now.
func (b *bearer) renew(refused string, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case refused != b.value:
		return true
	case b.justRenewed(now):
		return false
	}
	b.renewed = now
	return b.mint(now) == nil
}

// justRenewed reports whether it is too soon after renew for another JWT. A clock
// that went back says nothing.
func (b *bearer) justRenewed(now time.Time) bool {
	since := now.Sub(b.renewed)
	return !b.renewed.IsZero() && since >= 0 && since < bearerInterval
}

// ahead reports whether value is the JWT in use and its time of issue is yet to
// come: the clock that it was minted by went ahead.
func (b *bearer) ahead(value string, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return value == b.value && b.issued.After(now)
}

// mint makes the JWT (RFC 7519) with ES256 (RFC 7518, 3.4). b.mu is held.
func (b *bearer) mint(issued time.Time) error {
	text := jwtPart(jwtHeader{"ES256", b.keyID}) + "." + jwtPart(jwtClaims{b.teamID, issued.Unix()})
	digest := sha256.Sum256([]byte(text))
	der, err := b.key.Sign(nil, digest[:], crypto.SHA256) // without a source of randomness: RFC 6979
	if err != nil {
		return err
	}
	var signature struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &signature); err != nil {
		return err
	}
	raw := make([]byte, 64)
	signature.R.FillBytes(raw[:32])
	signature.S.FillBytes(raw[32:])
	b.value, b.issued = "bearer "+text+"."+base64.RawURLEncoding.EncodeToString(raw), issued
	return nil
}

type jwtHeader struct {
	Alg string `json:"alg"`
	Kid string `json:"kid"`
}

type jwtClaims struct {
	Iss string `json:"iss"`
	Iat int64  `json:"iat"` // seconds since 1970
}

func jwtPart(part any) string {
	text, err := json.Marshal(part)
	if err != nil {
		panic(err) // strings and a number
	}
	return base64.RawURLEncoding.EncodeToString(text)
}
