package bridge

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"sync"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/conversation"
)

// FailuresKept is how many failures of an app are kept, some 150 bytes each.
const FailuresKept = 50

// Failure is a frame that was refused, by the gateway or by APNs, or an error packet for
// another reason: that the gateway stops.
type Failure struct {
	Time       time.Time
	Status     binproto.Status // what the provider is to know
	Identifier uint32
	Named      bool      // the frame has an identifier
	Device     string    // the beginning of its token, in hex; empty: of a frame that makes no sense none is kept
	Reason     string    // a sentence
	Client     string    // the provider, as logs have it; empty: not known, the notification was read from the spool
	Address    string    // of the provider
	Told       time.Time // when an error packet was decided on; zero: there was none
}

// failure is a Failure before its sentences are made.
type failure struct {
	at, told    time.Time
	session     uint64 // its number
	client      string
	address     netip.Addr
	environment Environment // of the lane
	topic       string
	why         string // APNs' word; empty: APNs was not asked
	identifier  uint32
	device      conversation.Device
	digits      int8 // bytes of device that there are
	named       bool
	status      binproto.Status
}

// failures are the latest ones of an app. The good way of a notification does not come
// by here.
type failures struct {
	mu   sync.Mutex
	all  []failure
	next int // the oldest, once there are FailuresKept
}

func (r *failures) add(f failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.put(f)
}

// put is add with r.mu held.
func (r *failures) put(f failure) {
	if len(r.all) < FailuresKept {
		r.all = append(r.all, f)
		return
	}
	r.all[r.next] = f
	r.next = (r.next + 1) % FailuresKept
}

// tell notes an error packet: of the failure that it is about, if that is still kept.
func (r *failures) tell(packet failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.all {
		f := &r.all[(r.next+len(r.all)-1-i)%len(r.all)] // from the latest on
		if f.session == packet.session && f.identifier == packet.identifier && f.status == packet.status &&
			f.told.IsZero() {
			f.told, f.named = packet.at, true
			return
		}
	}
	packet.told = packet.at
	r.put(packet)
}

// latest gives copies, the latest first.
func (r *failures) latest() []failure {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := slices.Concat(r.all[r.next:], r.all[:r.next])
	slices.Reverse(all)
	return all
}

// failure is one on the connection of s.
func (s *Session) failure(status binproto.Status, identifier uint32, named bool, now time.Time) failure {
	o := &s.origin
	return failure{at: now, session: s.number, client: shortClient(o.Client), address: o.Address,
		environment: o.Environment, status: status, identifier: identifier, named: named}
}

// packet is the failure that d tells.
func (s *Session) packet(d conversation.Decision, now time.Time) failure {
	f := s.failure(d.Status, d.Identifier, true, now)
	f.why, f.device, f.topic = d.Why, d.Device, s.app.route.Load().app.topicFor(s.origin)
	if d.Device != (conversation.Device{}) {
		f.digits = int8(len(d.Device))
	}
	return f
}

// failed keeps that n is refused with the status that its provider is to know.
func (l *appLane) failed(n *notification, status binproto.Status, why string) {
	f := failure{at: l.app.bridge.now(), status: status}
	if s := n.session; s != nil {
		f = s.failure(status, n.identifier, n.named, f.at)
	}
	f.environment, f.topic, f.why = l.environment, n.Request.Topic, why
	f.digits = int8(copy(f.device[:], n.Token()))
	l.app.failures.add(f)
}

// Failures gives the latest failures of an app, the latest first; none if there is no
// such app.
func (b *Bridge) Failures(name string) []Failure {
	a, err := b.configured(name)
	if err != nil {
		return nil
	}
	var all []Failure
	for _, f := range a.failures.latest() {
		shown := Failure{Time: f.at, Status: f.status, Identifier: f.identifier, Named: f.named,
			Device: hex.EncodeToString(f.device[:f.digits]), Reason: a.reasonOf(&f), Client: f.client, Told: f.told}
		if f.client != "" {
			shown.Address = f.address.String()
		}
		all = append(all, shown)
	}
	return all
}
