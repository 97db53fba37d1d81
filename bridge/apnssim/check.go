package apnssim

import (
	"encoding/json"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// question is a complete request and all that it is judged by.
type question struct {
	headers *request
	payload []byte // what was kept of size bytes
	size    int

	script  *script
	grants  *script // whose keys and topics are known
	lots    *rand.Rand
	devices *devices
	client  *identity
	conn    *conn // for its provider token
	now     time.Time

	device        string // its token as sent
	topic         string // the header's, or the certificate's
	environment   string // empty: not known
	id            string // the header's, or a new one
	priority      int    // 0: none, or not a number
	expiration    int64
	hasExpiration bool
}

// ask makes the question of a stream.
func (q *question) ask(c *conn, s *stream, body []byte) {
	r := &s.request
	*q = question{
		headers: r, payload: body, size: s.size,
		script: c.script, lots: c.lots, devices: &c.sim.devices, client: &c.client, conn: c, now: c.sim.now(),
		topic: r.topic, id: r.id,
	}
	if c.bound == nil {
		c.bound = c.script
	}
	if q.grants = q.script; q.script.Bind {
		q.grants = c.bound
	}
	q.device, _ = strings.CutPrefix(r.path, devicePath)
	// A failure to parse costs an allocation, so absent headers are not tried.
	if r.has&hasPriority != 0 {
		q.priority, _ = strconv.Atoi(r.priority)
	}
	if r.has&hasExpiration != 0 {
		n, err := strconv.ParseInt(r.expiration, 10, 64)
		q.expiration, q.hasExpiration = n, err == nil && n >= 0
	}
	if r.topic == "" && r.has&hasAuthorization == 0 {
		q.topic = c.client.topic
	}
	if !isID(r.id) {
		q.id = q.newID()
	}
	q.environment = q.script.Environment
	if q.environment == "" {
		q.environment = environmentOf(r.authority)
	}
}

const devicePath = "/3/device/"

// environmentOf tells the environment by Apple's host names.
func environmentOf(authority string) string {
	switch host, _, _ := strings.Cut(authority, ":"); host {
	case "api.push.apple.com":
		return Production
	case "api.sandbox.push.apple.com", "api.development.push.apple.com":
		return Sandbox
	}
	return ""
}

// checks look at the request alone, in this order. Apple documents none: who
// asks for what comes first, then the headers, the topic, the token's form, and
// the payload. Whether the device is there is asked last.
var checks = []func(*question) Reason{
	checkMethod,
	checkPath,
	checkRepeated,
	checkProvider,
	checkID,
	checkExpiration,
	checkPriority,
	checkPushType,
	checkCollapse,
	checkTopic,
	checkSuffix,
	checkBackground,
	checkDevice,
	checkPayload,
}

func checkMethod(q *question) Reason {
	if q.headers.method != "POST" {
		return MethodNotAllowed
	}
	return ""
}

func checkPath(q *question) Reason {
	if !strings.HasPrefix(q.headers.path, devicePath) {
		return BadPath
	}
	return ""
}

func checkRepeated(q *question) Reason {
	if q.headers.repeated {
		return DuplicateHeaders
	}
	return ""
}

// checkProvider asks for a provider token, or a certificate instead.
func checkProvider(q *question) Reason {
	if q.headers.has&hasAuthorization == 0 {
		switch {
		case q.client.topic == "":
			return MissingProviderToken
		case !q.client.fits(q.environment):
			return BadCertificateEnvironment
		}
		return ""
	}
	return q.conn.judgeProvider(q)
}

// judgeProvider judges the provider token by itself, by the one with which the
// connection began, by the clock, and by how often it changes.
func (c *conn) judgeProvider(q *question) Reason {
	t := &c.token
	fresh := t.text != q.headers.authorization || t.script != q.grants
	if fresh {
		*t = readToken(q.headers.authorization, q.grants, q.environment)
	}
	if t.wrong != "" {
		return t.wrong
	}
	if c.keyID == "" {
		c.keyID, c.teamID = t.keyID, t.teamID
	}
	if c.teamID != t.teamID { // keys of one team are related
		if c.keyID != t.keyID {
			return UnrelatedKeyIDInToken
		}
		return InvalidProviderToken
	}
	if wrong := t.age(q.now); wrong != "" {
		return wrong
	}
	if fresh && !q.script.perKey.admit(t.text, t.keyID, q.now) {
		t.text = "" // judged anew when it comes again
		return TooManyProviderTokenUpdates
	}
	return ""
}

func checkID(q *question) Reason {
	if q.headers.has&hasID != 0 && q.id != q.headers.id {
		return BadMessageID
	}
	return ""
}

func checkExpiration(q *question) Reason {
	if q.headers.has&hasExpiration != 0 && !q.hasExpiration {
		return BadExpirationDate
	}
	return ""
}

func checkPriority(q *question) Reason {
	switch q.headers.priority {
	case "10", "5", "1":
		return ""
	}
	if q.headers.has&hasPriority != 0 {
		return BadPriority
	}
	return ""
}

func checkCollapse(q *question) Reason {
	if len(q.headers.collapse) > 64 {
		return BadCollapseID
	}
	return ""
}

func checkDevice(q *question) Reason {
	switch {
	case q.device == "":
		return MissingDeviceToken
	case !isToken(q.device):
		return BadDeviceToken
	}
	return ""
}

// Apple's limits for payloads, in bytes.
const (
	maxPayload     = 4096
	maxVoIPPayload = 5120
)

func checkPayload(q *question) Reason {
	limit := maxPayload
	if q.headers.pushType == "voip" || strings.HasSuffix(q.topic, ".voip") {
		limit = maxVoIPPayload
	}
	switch {
	case q.size == 0:
		return PayloadEmpty
	case q.size > limit:
		return PayloadTooLarge
	case q.script.RequireJSON && !isObject(q.payload):
		return PayloadEmpty
	}
	return ""
}

func isObject(payload []byte) bool {
	var object map[string]json.RawMessage
	return json.Unmarshal(payload, &object) == nil && object != nil
}
