package apnssim

import (
	"bytes"
	"encoding/hex"
	"strconv"

	"golang.org/x/net/http2"
)

// complete takes a request whose last byte has come, judges and records it, and
// sets out its answer. body is borrowed.
func (c *conn) complete(s *stream, body []byte) error {
	if r := &s.request; r.length >= 0 && r.length != s.size {
		return http2.StreamError{StreamID: s.id, Code: http2.ErrCodeProtocol}
	}
	s.ended = true
	p := c.script
	if c.out.muted && !(p.BlackHole != nil && p.BlackHole.Accept) {
		return nil
	}
	defer c.incidents()
	c.requests++
	resets := p.Resets
	if resets != nil && (resets.When == Finished || !draw(c.lots, resets.Probability)) {
		resets = nil
	}
	if resets != nil && resets.When != Lost {
		c.sim.counts.resets.Add(1)
		c.sim.record.touch()
		return http2.StreamError{StreamID: s.id, Code: p.resetCode}
	}

	q := &c.question
	q.ask(c, s, body)
	v := q.verdict()
	c.note(s, v, body)
	if resets != nil {
		c.sim.counts.resets.Add(1)
		return http2.StreamError{StreamID: s.id, Code: p.resetCode}
	}

	if p.CertificateGoAway && (v.reason == BadCertificate || v.reason == BadCertificateEnvironment) {
		c.goAwayBecause(v.reason)
		return nil
	}
	if 400 <= v.status && v.status < 500 && v.status != 410 {
		if c.errors++; v.reason == BadDeviceToken {
			c.badTokens++
		}
	}
	s.answer = answer{status: v.status, id: q.id, body: v.body}
	if q.environment == Sandbox {
		s.answer.unique = q.newID()
	}
	if slow := p.SlowBody; slow != nil {
		s.answer.piece, s.answer.pause = positive(slow.Bytes, 1), milliseconds(slow.Pause)
	}
	if delay := v.latency.draw(c.lots); delay > 0 {
		c.later(event{what: answerStream, stream: s}, delay)
	} else {
		c.advance(s)
	}
	return nil
}

// note records the push that was asked about, with its verdict, and tells of it if it was accepted.
func (c *conn) note(s *stream, v verdict, body []byte) {
	q := &c.question
	push := Push{
		Connection: c.number,
		Token:      q.device,
		Topic:      q.topic,
		PushType:   s.request.pushType,
		Priority:   q.priority,
		APNSID:     q.id,
		Payload:    body,
		Status:     v.status,
		Reason:     string(v.reason),
	}
	c.sim.record.add(push, q.expiration, q.hasExpiration)
	if accepted := c.sim.accepted.Load(); accepted != nil && v.status == 200 {
		push.Payload = bytes.Clone(body)
		if q.hasExpiration {
			expiration := q.expiration
			push.Expiration = &expiration
		}
		(*accepted)(push)
	}
}

// verdict is the outcome of a push.
type verdict struct {
	status  int
	reason  Reason
	body    []byte
	latency Latency
}

// verdict goes through outage, checks, rules and devices, in this order. What
// comes first decides.
func (q *question) verdict() verdict {
	p := q.script
	if o := p.Outage; o != nil && draw(q.lots, o.Probability) {
		reason := o.Reason
		if reason == "" {
			reason = ServiceUnavailable
		}
		return q.reject(reason, o.Status)
	}
	for _, check := range checks {
		if reason := check(q); reason != "" {
			return q.reject(reason, 0)
		}
	}
	for i := range p.rules {
		r := &p.rules[i]
		if r.matches(q) && draw(q.lots, r.Probability) && r.left.take() {
			return q.follow(&r.Rule)
		}
	}
	device, reason := q.findDevice()
	if reason == "" && !p.perDevice.admit(q.device, q.now) {
		reason = TooManyRequests
	}
	if reason == "" {
		return verdict{status: 200, latency: p.Latency}
	}
	v := q.reject(reason, 0)
	if reason == Unregistered && device.Since > 0 {
		v.body = appleBody(reason, strconv.AppendInt(nil, device.Since*1000, 10))
	}
	return v
}

// reject gives the answer for a reason as Apple would write it. status is 0
// for the reason's own.
func (q *question) reject(reason Reason, status int) verdict {
	if status == 0 {
		status = statuses[reason]
	}
	var timestamp []byte
	if status == 410 {
		timestamp = strconv.AppendInt(nil, q.now.UnixMilli(), 10)
	}
	return verdict{status: status, reason: reason, body: appleBody(reason, timestamp), latency: q.script.Latency}
}

// follow gives the answer that a rule asks for.
func (q *question) follow(r *Rule) verdict {
	v := q.reject(r.Reason, r.Status)
	switch {
	case r.Body != nil:
		v.body = []byte(*r.Body)
	case r.Reason == "":
		v.body = nil
	case r.Timestamp != nil:
		v.body = appleBody(r.Reason, r.Timestamp)
	}
	if r.Latency != nil {
		v.latency = *r.Latency
	}
	return v
}

// appleBody is the JSON of a rejection; timestamp may be nil.
func appleBody(reason Reason, timestamp []byte) []byte {
	b := make([]byte, 0, 80)
	b = append(b, `{"reason":`...)
	b = strconv.AppendQuote(b, string(reason))
	if timestamp != nil {
		b = append(append(b, `,"timestamp":`...), timestamp...)
	}
	return append(b, '}')
}

// newID makes an apns-id for a push that came without one.
func (q *question) newID() string {
	var b [16]byte
	for i := range b {
		b[i] = byte(q.lots.Uint32())
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	var text [36]byte
	hex.Encode(text[0:8], b[0:4])
	hex.Encode(text[9:13], b[4:6])
	hex.Encode(text[14:18], b[6:8])
	hex.Encode(text[19:23], b[8:10])
	hex.Encode(text[24:36], b[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}

// isID reports whether s is a UUID in its canonical form of 8-4-4-4-12 digits.
func isID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch i {
		case 8, 13, 18, 23:
			if s[i] != '-' {
				return false
			}
		default:
			if !isHex(s[i]) {
				return false
			}
		}
	}
	return true
}

// matches reports whether a rule is for this push.
func (r *rule) matches(q *question) bool {
	return (r.Topic == "" || r.Topic == q.topic) && hasPrefix(q.device, r.Prefix)
}

// hasPrefix compares hex digits, of which prefix has lower-case ones.
func hasPrefix(token, prefix string) bool {
	if len(token) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		if b := token[i]; b != prefix[i] && b|0x20 != prefix[i] {
			return false
		}
	}
	return true
}

// findDevice gives the device of the push, and what is wrong with it.
func (q *question) findDevice() (Device, Reason) {
	d, wrong := q.devices.find(q.device, q.topic, q.environment)
	if wrong != "" {
		return d, wrong
	}
	state := d.State
	if state == "" {
		switch {
		case hasPrefix(q.device, "bad0"):
			state = Absent
		case hasPrefix(q.device, "dead"):
			state = Uninstalled
		}
	}
	switch state {
	case Absent:
		return d, BadDeviceToken
	case Uninstalled:
		return d, Unregistered
	}
	return d, ""
}
