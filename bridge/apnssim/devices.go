package apnssim

import (
	"fmt"
	"strings"
	"sync"
)

// Device is what APNs knows of an app on a device. A token may be set several
// times, with other topics and environments. Once one is set, the same token
// with another topic is DeviceTokenNotForTopic, and in another environment
// BadDeviceToken.
type Device struct {
	Token       string `json:"token"`                 // hex
	Topic       string `json:"topic,omitempty"`       // empty: any
	Environment string `json:"environment,omitempty"` // production, sandbox; empty: any
	State       string `json:"state,omitempty"`       // active, uninstalled (410), absent (400); empty: by the token's prefix
	Since       int64  `json:"since,omitempty"`       // epoch seconds of the timestamp in a 410; 0: the time of the push
}

// The states of a Device.
const (
	Active      = "active"
	Uninstalled = "uninstalled"
	Absent      = "absent"
)

// The environments of APNs.
const (
	Production = "production"
	Sandbox    = "sandbox"
)

// maxDevices bounds the devices that can be set.
const maxDevices = 1_000_000

// devices finds a Device by its token.
type devices struct {
	mu     sync.RWMutex
	byName map[string][]Device
	count  int
}

func (ds *devices) set(d Device) error {
	d.Token = strings.ToLower(d.Token)
	switch {
	case !isToken(d.Token):
		return fmt.Errorf("apnssim: device token %.16q… is not %d to %d hexadecimal digits",
			d.Token, minTokenDigits, maxTokenDigits)
	case d.State != "" && d.State != Active && d.State != Uninstalled && d.State != Absent:
		return fmt.Errorf("apnssim: device state %q is none of active, uninstalled, absent", d.State)
	case !isEnvironment(d.Environment):
		return fmt.Errorf("apnssim: device environment %q is neither production nor sandbox", d.Environment)
	case d.Since < 0:
		return fmt.Errorf("apnssim: device since %d is negative; it is in epoch seconds", d.Since)
	}
	ds.mu.Lock()
	defer ds.mu.Unlock()
	for i, old := range ds.byName[d.Token] {
		if old.Topic == d.Topic && old.Environment == d.Environment {
			ds.byName[d.Token][i] = d
			return nil
		}
	}
	if ds.count == maxDevices {
		return fmt.Errorf("apnssim: %d devices are set already", maxDevices)
	}
	if ds.byName == nil {
		ds.byName = make(map[string][]Device)
	}
	ds.byName[d.Token] = append(ds.byName[d.Token], d)
	ds.count++
	return nil
}

func isEnvironment(s string) bool { return s == "" || s == Production || s == Sandbox }

// find gives the device that a push is for, and what is wrong with the push if
// the token was set, but for another topic or environment. environment may be
// empty: not known. A device that was never set is the zero Device.
func (ds *devices) find(token, topic, environment string) (d Device, wrong Reason) {
	if hasUpper(token) {
		token = strings.ToLower(token)
	}
	ds.mu.RLock()
	defer ds.mu.RUnlock()
	set := ds.byName[token]
	if len(set) == 0 {
		return Device{}, ""
	}
	wrong = BadDeviceToken
	for _, d := range set {
		if d.Environment != "" && environment != "" && d.Environment != environment {
			continue
		}
		if d.Topic == "" || d.Topic == topic {
			return d, ""
		}
		wrong = DeviceTokenNotForTopic
	}
	return Device{}, wrong
}

func hasUpper(s string) bool {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			return true
		}
	}
	return false
}

// A device token has 32 to 100 bytes; Apple promises no length.
const (
	minTokenDigits = 2 * 32
	maxTokenDigits = 2 * 100
)

func isToken(s string) bool {
	if len(s) < minTokenDigits || len(s) > maxTokenDigits || len(s)%2 != 0 {
		return false
	}
	for i := range len(s) {
		if !isHex(s[i]) {
			return false
		}
	}
	return true
}

func isHex(b byte) bool {
	return '0' <= b && b <= '9' || 'a' <= b && b <= 'f' || 'A' <= b && b <= 'F'
}
