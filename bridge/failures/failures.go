// Package failures keeps the latest refusals of an app, each with what its operator can do
// about it.
package failures

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/conversation"
	"apnsbridge/bridge/settings"
)

// Kept is how many failures of an app are kept, some 150 bytes each.
const Kept = 50

// Failure is a frame that was refused, by the gateway or by APNs, or an error packet for
// another reason: that the gateway stops.
type Failure struct {
	Time        time.Time
	Told        time.Time       // when an error packet was decided on; zero: there was none
	Status      binproto.Status // what the provider is to know
	Identifier  uint32
	Named       bool // the frame has an identifier
	Session     uint64
	Client      string     // the provider, as logs have it; empty: not known, the notification was read from the spool
	Address     netip.Addr // of the provider
	Environment settings.Environment
	Topic       string
	Device      conversation.Device // zero: of a frame that makes no sense none is kept
	Word        string              // APNs'; empty: it was not asked
	Reason      string              // a sentence, for those who read it
}

// Digits is the beginning of the device's token, in hex.
func (f *Failure) Digits() string {
	if f.Device == (conversation.Device{}) {
		return ""
	}
	return hex.EncodeToString(f.Device[:])
}

// From is the provider's address; empty: it is not known.
func (f *Failure) From() string {
	if f.Client == "" {
		return ""
	}
	return f.Address.String()
}

// ourReasons are why the gateway refuses frames without asking APNs.
var ourReasons = map[binproto.Status]string{
	binproto.MissingDeviceToken: "the frame has no device token: have the provider leave such out",
	binproto.MissingPayload:     "the frame has no payload: have the provider leave such out",
	binproto.InvalidTokenSize: "the frame's device token is shorter or longer than limits.token_bytes: have the " +
		"provider send a token's bytes, not its digits",
	binproto.InvalidPayloadSize: "the frame's payload is longer than limits.payload_bytes: have the provider " +
		"shorten it",
	binproto.ProcessingError: "the frame does not fit together: see how the provider builds it",
	binproto.Unknown:         "the frame does not fit together: see how the provider builds it",
}

// Ours is the Reason of a failure about which APNs was not asked.
func (f *Failure) Ours() string {
	if f.Status == binproto.InvalidToken {
		return fmt.Sprintf("APNs has refused device %x… before", f.Device)
	}
	if why, ok := ourReasons[f.Status]; ok {
		return why
	}
	return f.Status.Error()
}

// List has the latest failures of an app. It is safe for concurrent use. The good way of a
// notification does not come by here.
type List struct {
	mu   sync.Mutex
	all  []Failure
	next int // the oldest, once there are Kept
}

// Add keeps a failure, in the place of the oldest if there are too many.
func (l *List) Add(f Failure) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.put(f)
}

// put is Add with l.mu held.
func (l *List) put(f Failure) {
	if len(l.all) < Kept {
		l.all = append(l.all, f)
		return
	}
	l.all[l.next] = f
	l.next = (l.next + 1) % Kept
}

// Tell notes an error packet: of the failure that it is about, if that is still kept.
func (l *List) Tell(packet Failure) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.all {
		f := &l.all[(l.next+len(l.all)-1-i)%len(l.all)] // from the latest on
		if f.Session == packet.Session && f.Identifier == packet.Identifier && f.Status == packet.Status &&
			f.Told.IsZero() {
			f.Told, f.Named = packet.Time, true
			return
		}
	}
	packet.Told = packet.Time
	l.put(packet)
}

// Latest gives copies, the latest first.
func (l *List) Latest() []Failure {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := slices.Concat(l.all[l.next:], l.all[:l.next])
	slices.Reverse(all)
	return all
}
