package main

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"apnsbridge/binproto"
	"apnsbridge/bridge/apnssim"
	"apnsbridge/gateway/devpki"
	"apnsbridge/gateway/identity"
)

// whoConfig has an app for each way to be admitted. Its arguments are
// appOfWho and the fingerprints.
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

// appOfWho is what all apps of whoConfig have in common.
const appOfWho = `{endpoint: %q, endpoint_ca: ca.pem, credential: {token: {key: AuthKey_DEVELOPER.p8, key_id: DEVELOPER1, team_id: DEMOTEAM01}}}`

// who is somebody who connects.
type who struct {
	name        string
	certificate *tls.Certificate // nil: none
	from        string           // address; "" for 127.0.0.1
	app, topic  string           // as which it is admitted, "" if not
	remedy      string           // in the log otherwise
}

func issue(t *testing.T, p *devpki.PKI, o devpki.ClientOptions) *tls.Certificate {
	t.Helper()
	pair, err := p.Issue(o)
	if err != nil {
		t.Fatal(err)
	}
	c, err := pair.TLS()
	if err != nil {
		t.Fatal(err)
	}
	return &c
}

// renewed is another certificate with the key of c, signed by nobody else.
func renewed(t *testing.T, c *tls.Certificate) *tls.Certificate {
	t.Helper()
	key := c.PrivateKey.(crypto.Signer)
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "renewed"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// ancient is a certificate with our CA's signature, of the kind that real push
// certificates have.
func ancient(t *testing.T, topic string) *tls.Certificate {
	t.Helper()
	c := issue(t, pki(), devpki.ClientOptions{Topic: topic})
	ca, err := pki().CA.TLS()
	if err != nil {
		t.Fatal(err)
	}
	template := *c.Leaf
	template.SignatureAlgorithm = x509.SHA1WithRSA
	der, err := x509.CreateCertificate(rand.Reader, &template, pki().CA.Leaf, c.Leaf.PublicKey, ca.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	if c.Leaf, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	c.Certificate = [][]byte{der}
	return c
}

func fingerprint(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// newWhoWorld gives a gateway with an app for each way to be admitted, and
// everybody who knocks.
func newWhoWorld(t *testing.T) (*world, []who) {
	t.Helper()
	elsewhere, err := devpki.Create("com.example.uid")
	if err != nil {
		t.Fatal(err)
	}
	past := time.Now().Add(-time.Hour)
	ours := pki()
	pinned := issue(t, elsewhere, devpki.ClientOptions{Topic: "com.example.anything"})
	key := issue(t, elsewhere, devpki.ClientOptions{Topic: "com.example.anything"})
	expired := issue(t, elsewhere, devpki.ClientOptions{Topic: "com.example.anything", NotBefore: past.Add(-time.Hour), NotAfter: past})
	sha1 := ancient(t, "com.example.sha1")
	mdm := issue(t, elsewhere, devpki.ClientOptions{Topic: "com.apple.mgmt.example"})
	all := []who{
		{"a pinned certificate", pinned, "", "pinned", "com.example.pinned", ""},
		{"a certificate with a pinned key", key, "", "key", "com.example.key", ""},
		{"the same key in another certificate", renewed(t, key), "", "key", "com.example.key", ""},
		{"an expired certificate that is pinned", expired, "", "expired", "com.example.expired", ""},
		{"a certificate signed with SHA-1 that is pinned", sha1, "", "sha1", "com.example.sha1", ""},
		{"a UID of the CA", issue(t, ours, devpki.ClientOptions{Topic: "com.example.uid"}), "", "uid", "com.example.uid", ""},
		{"a topic in Apple's extension", issue(t, ours, devpki.ClientOptions{Topic: "com.example.holder", Topics: []string{"com.example.oid"}}), "", "oid", "com.example.oid", ""},
		{"a UID of one app and a topic of another", issue(t, ours, devpki.ClientOptions{Topic: "com.example.uid", Topics: []string{"com.example.oid"}}), "", "uid", "com.example.uid", ""},
		{"the topic from the certificate", mdm, "", "mdm", "com.apple.mgmt.example", ""},
		{"no certificate, from a listed network", nil, "127.0.0.2", "net", "com.example.net", ""},
		{"a stranger's certificate, from a listed network", issue(t, elsewhere, devpki.ClientOptions{Topic: "com.example.pinned"}), "127.0.0.2", "net", "com.example.net", ""},
		{"a pin beats a network", pinned, "127.0.0.2", "pinned", "com.example.pinned", ""},

		{name: "no certificate", remedy: "add {cidr: 127.0.0.1/32}"},
		{name: "no certificate, from the network's neighbour", from: "127.0.0.3", remedy: "add {cidr: 127.0.0.3/32}"},
		{name: "an app's topic from another CA", certificate: issue(t, elsewhere, devpki.ClientOptions{Topic: "com.example.uid"}), remedy: "add {sha256: "},
		{name: "the pinned one's topic from our CA", certificate: issue(t, ours, devpki.ClientOptions{Topic: "com.example.pinned"}), remedy: "add {sha256: "},
		{name: "a UID that nobody has", certificate: issue(t, ours, devpki.ClientOptions{Topic: "com.example.nobody"}), remedy: "add {sha256: "},
		{name: "no UID at all", certificate: issue(t, ours, devpki.ClientOptions{}), remedy: "add {sha256: "},
		{name: "a UID of the CA, signed with SHA-1", certificate: ancient(t, "com.example.uid"), remedy: "add {sha256: "},
		{name: "a UID of the CA, expired", certificate: issue(t, ours, devpki.ClientOptions{Topic: "com.example.uid", NotBefore: past.Add(-time.Hour), NotAfter: past}), remedy: "add {sha256: "},
	}
	w := newWorld(t, apnssim.Scenario{})
	w.stop()
	common := fmt.Sprintf(appOfWho, w.sim.URL())
	w.write("apnsbridge.yaml", fmt.Appendf(nil, whoConfig, common, fingerprint(pinned.Leaf.Raw), fingerprint(key.Leaf.RawSubjectPublicKeyInfo), fingerprint(expired.Leaf.Raw), fingerprint(mdm.Leaf.Raw), fingerprint(sha1.Leaf.Raw)))
	w.start()
	return w, all
}

func (p who) tls(version uint16) *tls.Config {
	config := &tls.Config{RootCAs: pki().Pool(), MinVersion: version, MaxVersion: version, ServerName: "localhost"}
	if p.certificate != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return p.certificate, nil }
	}
	return config
}

// dial connects from p's address, and shakes hands as far as p can tell.
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

// TestWho: everybody who is admitted pushes to the app's topic, whatever the
// certificate says besides, and reads the app's feedback and no other; whoever is
// not gets an alert at once on both ports, and the log says who it was and what
// would admit it.
func TestWho(t *testing.T) {
	w, all := newWhoWorld(t)
	for i, p := range all {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(fmt.Sprintf("%s/%s", p.name, tls.VersionName(version)), func(t *testing.T) {
				if p.app == "" {
					w.checkRefused(t, w.push, p, version)
					w.checkRefused(t, w.feedback, p, version)
					return
				}
				number := 2*i + int(version&1)
				w.checkPushes(t, p, version, token("0a", number), token("dead", number))
				w.checkFeedback(t, p, version, token("dead", number))
			})
		}
	}
}

// checkPushes pushes to a good device and to one that is gone.
func (w *world) checkPushes(t *testing.T, p who, version uint16, good, gone string) {
	t.Helper()
	recorded := w.service.bridge.Stats().Apps[p.app].Feedback
	c, err := p.dial(t, w.push, p.tls(version))
	if err != nil {
		t.Fatal(err)
	}
	var frames []byte
	for _, device := range []string{gone, good} {
		n := binproto.Notification{Command: binproto.Simple, Token: unhex(device), Payload: []byte(`{"aps":{}}`)}
		frames = n.Append(frames)
	}
	if _, err := c.Write(frames); err != nil {
		t.Fatal(err)
	}
	c.Close()
	pushed := func(device string) int {
		return slices.IndexFunc(w.sim.Received(0).Pushes, func(got apnssim.Push) bool { return got.Token == device })
	}
	waitFor(t, "both arrive", func() bool { return pushed(good) >= 0 && pushed(gone) >= 0 })
	if got := w.sim.Received(0).Pushes[pushed(good)]; got.Topic != p.topic || got.Status != 200 {
		t.Errorf("pushed to %s with status %d, want %s with 200", got.Topic, got.Status, p.topic)
	}
	waitFor(t, "the device that is gone is listed", func() bool { return w.service.bridge.Stats().Apps[p.app].Feedback > recorded })
}

func (w *world) checkFeedback(t *testing.T, p who, version uint16, want string) {
	t.Helper()
	reads := func() int { return strings.Count(w.log.String(), `"message":"feedback"`) }
	before := reads()
	c, err := p.dial(t, w.feedback, p.tls(version))
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
		t.Errorf("got %x, %v, want %s alone", b, err, want)
	}
	waitFor(t, "the read is over", func() bool { return reads() > before })
	if left := w.service.store.Stats().FeedbackEntries; left != 0 {
		t.Errorf("%d entries are left of a list that was read", left)
	}
}

func (w *world) checkRefused(t *testing.T, to string, p who, version uint16) {
	t.Helper()
	before := len(w.log.String()) // an earlier connection to the other port may have had the same address
	c, err := p.dial(t, to, p.tls(version))
	if err == nil { // TLS 1.3 tells a client only when it reads
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
	waitFor(t, "the log has a line", func() bool {
		line = w.loggedSince(before, "client refused", func(fields map[string]any) bool { return fields["address"] == address })
		return line != nil
	})
	for field, part := range want {
		if got, _ := line[field].(string); !strings.Contains(got, part) {
			t.Errorf("%s is %q, want %q in it", field, got, part)
		}
	}
}

// logged is the first line with the message that is the one, nil if there is
// none.
func (w *world) logged(message string, one func(map[string]any) bool) map[string]any {
	return w.loggedSince(0, message, one)
}

// loggedSince looks behind the first bytes of the log only.
func (w *world) loggedSince(bytes int, message string, one func(map[string]any) bool) map[string]any {
	for line := range strings.Lines(w.log.String()[bytes:]) {
		fields := map[string]any{}
		if json.Unmarshal([]byte(line), &fields) == nil && fields["message"] == message && one(fields) {
			return fields
		}
	}
	return nil
}

// TestWhoResumes: a TLS session is no identity. A client that was admitted for
// its network is refused with its ticket from elsewhere, and one app's ticket
// is not good for the other port.
func TestWhoResumes(t *testing.T) {
	w, _ := newWhoWorld(t)
	visitor := who{from: "127.0.0.2"}
	config := visitor.tls(tls.VersionTLS12)
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for i, resumed := range []bool{false, true} {
		c, err := visitor.dial(t, w.push, config)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.ConnectionState().DidResume; got != resumed {
			t.Errorf("connection %d was resumed: %v", i, got)
		}
		c.Close()
	}
	if c, err := visitor.dial(t, w.feedback, config.Clone()); err != nil || c.ConnectionState().DidResume {
		t.Errorf("on the feedback port: %v, resumed %v", err, c.ConnectionState().DidResume)
	}
	visitor.from = "127.0.0.3"
	if _, err := visitor.dial(t, w.push, config); err == nil || !strings.Contains(err.Error(), "bad certificate") {
		t.Errorf("got %v from another address, want the alert", err)
	}
}

// TestTerminatedByConfiguration: plain TCP, admitted by network.
func TestTerminatedByConfiguration(t *testing.T) {
	w := newWorld(t, apnssim.Scenario{})
	w.reconfigure("key: server-key.pem", "key: server-key.pem, terminated: 127.0.0.1")
	w.start()
	refused, err := net.Dial("tcp", w.push)
	if err != nil {
		t.Fatal(err)
	}
	defer refused.Close()
	refused.SetDeadline(time.Now().Add(30 * time.Second))
	if got, err := io.ReadAll(refused); err != nil || len(got) != 0 {
		t.Errorf("got % x, %v, want the end: being in front admits nobody", got, err)
	}
	w.reconfigure("      - {ca:", "      - {cidr: 127.0.0.1/32}\n      - {ca:")
	w.start()
	c, err := net.Dial("tcp", w.push)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	n := binproto.Notification{Command: binproto.Enhanced, Token: unhex(token("bad0", 1)), Payload: []byte(`{}`), Identifier: 7, HasIdentifier: true}
	if _, err := c.Write(n.Append(nil)); err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(30 * time.Second))
	want := binproto.Response{Status: binproto.InvalidToken, Identifier: 7}.Append(nil)
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, want) {
		t.Errorf("got % x, %v, want % x", got, err, want)
	}
}
