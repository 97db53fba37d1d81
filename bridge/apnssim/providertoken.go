package apnssim

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Apple: a provider token is good for an hour after its iat. Clocks may differ as
// much the other way.
const (
	tokenAge  = time.Hour
	tokenSkew = time.Hour
)

// providerToken is what a connection remembers of the last provider token it
// has seen, so that the same one again costs a comparison.
type providerToken struct {
	text   string  // of the authorization header
	script *script // by whose keys it was judged
	wrong  Reason
	keyID  string
	teamID string
	issued time.Time
}

var tokenParser = jwt.NewParser(jwt.WithValidMethods([]string{"ES256"}), jwt.WithoutClaimsValidation())

// readToken judges an authorization header by itself: is it well formed, and
// signed by a key the script trusts.
func readToken(text string, p *script, environment string) providerToken {
	t := providerToken{text: text, script: p}
	scheme, compact, _ := strings.Cut(text, " ")
	if !strings.EqualFold(scheme, "bearer") || compact == "" {
		t.wrong = MissingProviderToken
		return t
	}
	var claims struct {
		jwt.RegisteredClaims
	}
	token, _, err := tokenParser.ParseUnverified(compact, &claims)
	if err != nil || token.Method != jwt.SigningMethodES256 {
		t.wrong = InvalidProviderToken
		return t
	}
	t.keyID, _ = token.Header["kid"].(string)
	t.teamID = claims.Issuer
	if t.keyID == "" || t.teamID == "" || claims.IssuedAt == nil {
		t.wrong = InvalidProviderToken
		return t
	}
	t.issued = claims.IssuedAt.Time
	if p.keys != nil {
		t.wrong = p.trust(compact, &t, environment)
	}
	return t
}

// trust verifies the signature of a token with the keys of the scenario.
func (p *script) trust(compact string, t *providerToken, environment string) Reason {
	key := p.keys[t.keyID]
	if key == nil || key.TeamID != t.teamID {
		return InvalidProviderToken
	}
	_, err := tokenParser.Parse(compact, func(*jwt.Token) (any, error) { return key.public, nil })
	if err != nil {
		return InvalidProviderToken
	}
	if key.Environment != "" && environment != "" && key.Environment != environment {
		return BadEnvironmentKeyInToken
	}
	return ""
}

// covers reports whether the key is good for topic, or one with a suffix such as
// .voip. A key that is not known is good for all.
func (k *trustedKey) covers(topic string) bool {
	return k == nil || len(k.Topics) == 0 || slices.ContainsFunc(k.Topics, func(t string) bool {
		rest, found := strings.CutPrefix(topic, t)
		return found && (rest == "" || rest[0] == '.')
	})
}

// age judges a token that is good in itself by the clock.
func (t *providerToken) age(now time.Time) Reason {
	switch age := now.Sub(t.issued); {
	case age > tokenAge:
		return ExpiredProviderToken
	case age < -tokenSkew:
		return InvalidProviderToken
	}
	return ""
}

// publicKey reads a PEM public key, or takes it from the private key in a .p8.
func publicKey(text string) (*ecdsa.PublicKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("pem holds no PEM block")
	}
	if public, err := x509.ParsePKIXPublicKey(block.Bytes); err == nil {
		if key, ok := public.(*ecdsa.PublicKey); ok {
			return key, nil
		}
	}
	if private, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		if key, ok := private.(*ecdsa.PrivateKey); ok {
			return &key.PublicKey, nil
		}
	}
	return nil, errors.New("pem holds neither an EC public key nor an EC private key in PKCS #8")
}

// updates counts how often a key comes with a new provider token, on whatever
// connection.
type updates struct {
	mu    sync.Mutex
	limit *limiter
	known map[string]struct{}
}

// maxTokens bounds the provider tokens that updates knows; then it begins anew.
const maxTokens = 100_000

func newUpdates(l *RateLimit) *updates {
	if l == nil {
		return nil
	}
	return &updates{limit: newLimiter(l), known: make(map[string]struct{})}
}

// admit reports whether the token is known, or the key may have a new one. A nil
// updates admits everything.
func (u *updates) admit(token, keyID string, now time.Time) bool {
	if u == nil {
		return true
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, found := u.known[token]; found {
		return true
	}
	if !u.limit.admit(keyID, now) {
		return false
	}
	if len(u.known) == maxTokens {
		clear(u.known)
	}
	u.known[token] = struct{}{}
	return true
}
