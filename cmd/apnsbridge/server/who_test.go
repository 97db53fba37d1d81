package server

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
	"apnsbridge/gateway/identity"
)

// whoConfig is a configuration with an app for each way to be admitted. It is a format for
// servertest.App with its endpoint, and the fingerprints.
const whoConfig = `gateway: {listen: "127.0.0.1:0"}
feedback: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
tls: {certificate: server.pem, key: server-key.pem}
apps:
  pinned: {topic: com.example.pinned, <<: %[1]s, clients: [{sha256: "%[2]s"}]}
  key: {topic: com.example.key, <<: %[1]s, clients: [{spki_sha256: "%[3]s"}]}
  expired: {topic: com.example.expired, <<: %[1]s, clients: [{sha256: "%[4]s"}]}
  sha1: {topic: com.example.sha1, <<: %[1]s, clients: [{sha256: "%[6]s"}]}
  uid: {topic: com.example.uid, <<: %[1]s, clients: [{ca: ca.pem, uid: com.example.uid}]}
  oid: {topic: com.example.oid, <<: %[1]s, clients: [{ca: ca.pem, uid: com.example.oid}]}
  mdm: {topic: from-certificate, <<: %[1]s, clients: [{sha256: "%[5]s"}]}
  net: {topic: com.example.net, <<: %[1]s, clients: [{cidr: 127.0.0.2/32}]}
`

func (p who) tls(version uint16) *tls.Config {
	config := &tls.Config{RootCAs: servertest.PKI().Pool(), MinVersion: version, MaxVersion: version,
		ServerName: "localhost"}
	if p.certificate != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return p.certificate,
				nil
		}
	}
	return config
}

// dial connects from p's address. With TLS 1.3 it returns before p can know of a refusal.
func (p who) dial(t *testing.T, to string, config *tls.Config) (*tls.Conn, error) {
	t.Helper()
	dialer := net.Dialer{}
	if p.from != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(p.from)}
	}
	tcp, err := dialer.Dial("tcp", to)
	if err != nil {
		t.Skipf("this machine has no address %s on loopback: %v", p.from, err)
	}
	t.Cleanup(func() { tcp.Close() })
	tcp.SetDeadline(time.Now().Add(30 * time.Second))
	c := tls.Client(tcp, config)
	return c, c.Handshake()
}

// Clients that are admitted push to the app's topic, whatever else the certificate says,
// and read the app's feedback and no other. Clients that are not admitted get an alert at
// once on both ports, and the log says who they were and what would admit them.
func TestWho(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			w, all := newWhoWorld(t)
			for i, p := range all {
				t.Run(p.name, func(t *testing.T) {
					if p.app == "" {
						w.checkRefused(t, w.Push, p, version)
						w.checkRefused(t, w.Feedback, p, version)
						return
					}
					w.checkPushes(t, p, version, servertest.Token("0a", i), servertest.Token("dead", i))
					w.checkFeedback(t, p, version, servertest.Token("dead", i))
				})
			}
		})
	}
}

// checkPushes pushes to a good device and to one that has gone.
func (w *world) checkPushes(t *testing.T, p who, version uint16, good, gone string) {
	t.Helper()
	recorded := w.service.bridge.Stats().Apps[p.app].Feedback
	c, err := p.dial(t, w.Push, p.tls(version))
	if err != nil {
		t.Fatal(err)
	}
	var frames []byte
	for _, device := range []string{gone, good} {
		n := binproto.Notification{Command: binproto.Simple, Token: servertest.Unhex(device), Payload: []byte(`{"aps":{}}`)}
		frames = n.Append(frames)
	}
	if _, err := c.Write(frames); err != nil {
		t.Fatal(err)
	}
	c.Close()
	pushed := func(device string) int {
		return slices.IndexFunc(w.Sim.Received(0).Pushes, func(got apnssim.Push) bool { return got.Token == device })
	}
	servertest.WaitFor(t, "both arrive", func() bool { return pushed(good) >= 0 && pushed(gone) >= 0 })
	if got := w.Sim.Received(0).Pushes[pushed(good)]; got.Topic != p.topic || got.Status != 200 {
		t.Errorf("pushed to %s with status %d, want %s with 200", got.Topic, got.Status, p.topic)
	}
	servertest.WaitFor(t, "the device that is gone is listed",
		func() bool { return w.service.bridge.Stats().Apps[p.app].Feedback > recorded })
}

func (w *world) checkFeedback(t *testing.T, p who, version uint16, want string) {
	t.Helper()
	reads := func() int { return strings.Count(w.Log.String(), `"message":"feedback"`) }
	before := reads()
	c, err := p.dial(t, w.Feedback, p.tls(version))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil {
		t.Error(err)
	}
	c.Close()
	var u binproto.Tuple
	if n, err := binproto.ParseTuple(b, &u); err != nil || n != len(b) || hex.EncodeToString(u.Token) != want {
		t.Errorf("got the feedback %x, %v, want %s alone", b, err, want)
	}
	servertest.WaitFor(t, "the read is over", func() bool { return reads() > before })
	if left := w.service.store.Stats().FeedbackEntries; left != 0 {
		t.Errorf("%d entries are left on a list that was read", left)
	}
}

func (w *world) checkRefused(t *testing.T, to string, p who, version uint16) {
	t.Helper()
	before := len(w.Log.String()) // an earlier connection to the other port may have the same address
	c, err := p.dial(t, to, p.tls(version))
	if err == nil { // with TLS 1.3 a client learns of it only when it reads
		_, err = c.Read(make([]byte, 1))
	}
	if err == nil || !strings.Contains(err.Error(), "bad certificate") {
		t.Errorf("got %v, want the alert", err)
	}
	address := c.LocalAddr().String()
	want := map[string]string{"address": address, "reason": p.remedy}
	if p.certificate != nil {
		want["sha256"] = fingerprint(p.certificate.Certificate[0])
		want["subject"] = identity.Subject(p.certificate.Leaf)
	}
	var line map[string]any
	servertest.WaitFor(t, "the log has a line", func() bool {
		line = w.loggedSince(before, "client refused",
			func(fields map[string]any) bool { return fields["address"] == address })
		return line != nil
	})
	for field, part := range want {
		if got, _ := line[field].(string); !strings.Contains(got, part) {
			t.Errorf("%s is %q, want %q in it", field, got, part)
		}
	}
}

// logged returns the first log line with the message for which one is true, nil if there
// is none.
func (w *world) logged(message string, one func(map[string]any) bool) map[string]any {
	return w.loggedSince(0, message, one)
}

// loggedSince is logged, but skips the given number of bytes.
func (w *world) loggedSince(bytes int, message string, one func(map[string]any) bool) map[string]any {
	for line := range strings.Lines(w.Log.String()[bytes:]) {
		fields := map[string]any{}
		if json.Unmarshal([]byte(line), &fields) == nil && fields["message"] == message && one(fields) {
			return fields
		}
	}
	return nil
}

// A TLS session is not an identity: a client that was admitted for its network is refused
// if it comes with its ticket from elsewhere, and a ticket is not good for the other
// port.
func TestWhoResumes(t *testing.T) {
	t.Parallel()
	w, _ := newWhoWorld(t)
	visitor := who{from: "127.0.0.2"}
	config := visitor.tls(tls.VersionTLS12)
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for i, resumed := range []bool{false, true} {
		c, err := visitor.dial(t, w.Push, config)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.ConnectionState().DidResume; got != resumed {
			t.Errorf("connection %d was resumed: %v", i, got)
		}
		c.Close()
	}
	if c, err := visitor.dial(t, w.Feedback, config.Clone()); err != nil || c.ConnectionState().DidResume {
		t.Errorf("on the feedback port: got %v, resumed %v", err, c.ConnectionState().DidResume)
	}
	visitor.from = "127.0.0.3"
	if _, err := visitor.dial(t, w.Push, config); err == nil || !strings.Contains(err.Error(), "bad certificate") {
		t.Errorf("got %v from another address, want the alert", err)
	}
}

// Where TLS is terminated in front of the gateway, plain TCP is admitted by network.
func TestTerminatedByConfiguration(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	w.Reconfigure("key: server-key.pem", "key: server-key.pem, terminated: 127.0.0.1")
	w.Start()
	refused, err := net.Dial("tcp", w.Push)
	if err != nil {
		t.Fatal(err)
	}
	defer refused.Close()
	refused.SetDeadline(time.Now().Add(30 * time.Second))
	if got, err := io.ReadAll(refused); err != nil || len(got) != 0 {
		t.Errorf("got % x, %v, want the end: terminating TLS does not admit anybody", got, err)
	}
	w.Reconfigure("      - {ca:", "      - {cidr: 127.0.0.1/32}\n      - {ca:")
	w.Start()
	c, err := net.Dial("tcp", w.Push)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	n := binproto.Notification{Command: binproto.Enhanced, Token: servertest.Unhex(servertest.Token("bad0", 1)),
		Payload: []byte(`{}`), Identifier: 7, HasIdentifier: true}
	if _, err := c.Write(n.Append(nil)); err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(30 * time.Second))
	want := binproto.Response{Status: binproto.InvalidToken, Identifier: 7}.Append(nil)
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, want) {
		t.Errorf("got % x, %v, want % x", got, err, want)
	}
}
