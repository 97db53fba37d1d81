package apnssim

import (
	"cmp"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
)

// script is a Scenario made ready to be played, with what it has played so far.
type script struct {
	Scenario
	limit, low       int // streams
	stream, receive  int // windows of a stream and of the connection, in bytes
	creditDelay      time.Duration
	rules            []rule
	keys             map[string]*trustedKey
	topics           map[string]bool
	perDevice        *limiter
	perKey           *updates
	resetCode        http2.ErrCode
	goAways, darkens quota
}

type rule struct {
	Rule
	left quota
}

type trustedKey struct {
	Key
	public *ecdsa.PublicKey
}

// quota says how often something may still happen.
type quota struct {
	bounded bool
	left    atomic.Int64
}

func (q *quota) set(times int) {
	q.bounded = times > 0
	q.left.Store(int64(times))
}

func (q *quota) take() bool { return !q.bounded || q.left.Add(-1) >= 0 }

// What a connection offers unless the scenario says otherwise. The windows are
// those of RFC 9113, 6.9.2.
const (
	defaultStreams = 1000
	defaultWindow  = 65_535
	maxWindow      = 1<<31 - 1
)

func newScript(s Scenario) (*script, error) {
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("apnssim: scenario: %w", err)
	}
	p := &script{
		Scenario:    s,
		limit:       positive(s.MaxConcurrentStreams, defaultStreams),
		stream:      positive(s.Windows.Stream, defaultWindow),
		receive:     positive(s.Windows.Connection, defaultWindow),
		creditDelay: milliseconds(s.Windows.Return),
		rules:       make([]rule, len(s.Reasons)),
		perDevice:   newLimiter(s.DeviceLimit),
		perKey:      newUpdates(s.KeyUpdates),
	}
	p.low = p.limit
	if s.Throttle != nil {
		p.low = positive(s.Throttle.Low, 1)
	}
	for i, r := range s.Reasons {
		p.rules[i].Rule = r
		p.rules[i].left.set(r.Times)
	}
	for _, topic := range s.Topics {
		if p.topics == nil {
			p.topics = make(map[string]bool)
		}
		p.topics[topic] = true
	}
	for _, k := range s.Keys {
		public, err := publicKey(k.PEM)
		if err != nil {
			return nil, fmt.Errorf("apnssim: scenario: keys: %q: %w", k.KeyID, err)
		}
		if p.keys == nil {
			p.keys = make(map[string]*trustedKey)
		}
		p.keys[k.KeyID] = &trustedKey{Key: k, public: public}
	}
	if s.Resets != nil {
		p.resetCode, _ = s.Resets.code()
	}
	if s.GoAway != nil {
		p.goAways.set(s.GoAway.Times)
	}
	if s.BlackHole != nil {
		p.darkens.set(s.BlackHole.Times)
	}
	return p, nil
}

func milliseconds(n float64) time.Duration { return time.Duration(n * float64(time.Millisecond)) }

// random gives the lots of one connection.
func (p *script) random(connection int) *rand.Rand {
	return rand.New(rand.NewPCG(p.Seed, uint64(connection)))
}

// draw reports whether something of this probability happens; 0 is always.
func draw(lots *rand.Rand, probability float64) bool {
	return probability == 0 || lots.Float64() < probability
}

func (l Latency) draw(lots *rand.Rand) time.Duration {
	if l.Jitter == 0 {
		return milliseconds(l.Fixed)
	}
	return milliseconds(l.Fixed + l.Jitter*lots.Float64())
}

func (r *Resets) code() (http2.ErrCode, error) {
	if r.Code == "" {
		switch r.When {
		case Lost:
			return http2.ErrCodeInternal, nil
		case Finished:
			return http2.ErrCodeNo, nil
		}
		return http2.ErrCodeRefusedStream, nil
	}
	for code := http2.ErrCodeNo; code <= http2.ErrCodeHTTP11Required; code++ {
		if code.String() == r.Code {
			return code, nil
		}
	}
	return 0, fmt.Errorf("resets: code %q is no error code of HTTP/2, such as REFUSED_STREAM", r.Code)
}

// check gives one sentence about the first thing that is wrong.
func (s *Scenario) check() error {
	if !isEnvironment(s.Environment) {
		return fmt.Errorf("environment %q is neither production nor sandbox", s.Environment)
	}
	if err := s.Latency.check("latency"); err != nil {
		return err
	}
	for i := range s.Reasons {
		if err := s.Reasons[i].check(); err != nil {
			return fmt.Errorf("reasons[%d]: %w", i, err)
		}
	}
	if o := s.Outage; o != nil {
		if err := cmp.Or(isProbability(o.Probability), isStatus(o.Status), o.Reason.check(o.Status)); err != nil {
			return fmt.Errorf("outage: %w", err)
		}
	}
	for _, k := range s.Keys {
		if k.KeyID == "" || k.TeamID == "" || k.PEM == "" {
			return errors.New("keys: a key needs key_id, team_id and pem")
		}
		if !isEnvironment(k.Environment) {
			return fmt.Errorf("keys: environment %q is neither production nor sandbox", k.Environment)
		}
	}
	if err := s.DeviceLimit.check("device_limit"); err != nil {
		return err
	}
	if err := s.KeyUpdates.check("key_updates"); err != nil {
		return err
	}
	if e := s.ErrorLimit; e != nil && (e.Errors < 0 || e.BadTokens < 0) {
		return errors.New("error_limit: errors and bad_tokens cannot be negative")
	}
	return s.checkWire()
}

func (s *Scenario) checkWire() error {
	if s.MaxConcurrentStreams < 0 || s.MaxConcurrentStreams > maxWindow {
		return fmt.Errorf("max_concurrent_streams %d is out of range", s.MaxConcurrentStreams)
	}
	if t := s.Throttle; t != nil && (t.Low < 0 || t.Low > positive(s.MaxConcurrentStreams, defaultStreams)) {
		return fmt.Errorf("throttle: low %d is not between 1 and max_concurrent_streams", t.Low)
	}
	if w := s.Windows; w.Stream < 0 || w.Stream > maxWindow {
		return fmt.Errorf("windows: stream %d is no number of bytes", w.Stream)
	}
	if w := s.Windows; w.Connection != 0 && w.Connection < defaultWindow || w.Connection > maxWindow {
		return fmt.Errorf("windows: connection %d is less than %d, with which every connection begins, or too large",
			w.Connection, defaultWindow)
	}
	if s.Windows.Return < 0 {
		return fmt.Errorf("windows: return_ms %v is negative", s.Windows.Return)
	}
	if g := s.GoAway; g != nil {
		switch g.Mode {
		case "", Graceful, Double, Abrupt, Cut:
		default:
			return fmt.Errorf("goaway: mode %q is none of graceful, double, abrupt, cut", g.Mode)
		}
		if g.After < 0 || g.Times < 0 || g.Pause < 0 {
			return errors.New("goaway: after, times and pause_ms cannot be negative")
		}
	}
	if r := s.Resets; r != nil {
		switch r.When {
		case "", Unseen, Lost, Finished:
		default:
			return fmt.Errorf("resets: when %q is none of unseen, lost, finished", r.When)
		}
		if err := isProbability(r.Probability); err != nil {
			return fmt.Errorf("resets: %w", err)
		}
		if _, err := r.code(); err != nil {
			return err
		}
	}
	if b := s.BlackHole; b != nil && (b.After < 0 || b.Times < 0) {
		return errors.New("black_hole: after and times cannot be negative")
	}
	if b := s.SlowBody; b != nil && (b.Bytes < 0 || b.Pause < 0) {
		return errors.New("slow_body: bytes and pause_ms cannot be negative")
	}
	return nil
}

func (r *Rule) check() error {
	switch {
	case strings.Trim(r.Prefix, "0123456789abcdef") != "":
		return fmt.Errorf("prefix %q is not lower-case hexadecimal", r.Prefix)
	case r.Times < 0:
		return fmt.Errorf("times %d is negative", r.Times)
	case r.Timestamp != nil && !json.Valid(r.Timestamp):
		return fmt.Errorf("timestamp %q is not JSON", r.Timestamp)
	case r.Body != nil && len(*r.Body) > defaultWindow:
		return fmt.Errorf("body has %d bytes, at most %d are allowed", len(*r.Body), defaultWindow)
	}
	if err := cmp.Or(isProbability(r.Probability), isStatus(r.Status), r.Reason.check(r.Status)); err != nil {
		return err
	}
	if r.Latency != nil {
		return r.Latency.check("latency")
	}
	return nil
}

func (l Latency) check(name string) error {
	if l.Fixed < 0 || l.Jitter < 0 {
		return fmt.Errorf("%s: fixed_ms %v and jitter_ms %v cannot be negative", name, l.Fixed, l.Jitter)
	}
	return nil
}

func (l *RateLimit) check(name string) error {
	if l != nil && (l.Count < 1 || l.Seconds <= 0) {
		return fmt.Errorf("%s: count %d and seconds %v must be positive", name, l.Count, l.Seconds)
	}
	return nil
}

func isProbability(p float64) error {
	if p < 0 || p > 1 {
		return fmt.Errorf("probability %v is not between 0 and 1", p)
	}
	return nil
}

func isStatus(status int) error {
	if status != 0 && (status < 200 || status > 599) {
		return fmt.Errorf("status %d is not between 200 and 599", status)
	}
	return nil
}
