package bridge

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/sideshow/apns2"

	"apnsbridge/binproto"
)

// class is what an attempt's end means for the notification.
type class uint8

const (
	accepted      class = iota + 1
	refused             // the provider's fault: it sees verdict.status
	badToken            // the same with status 8, the only one that feedback ever hears of
	gone                // the app has left the device: feedback, in silence
	badPriority         // once more with another priority
	badPushType         // once more with another push type
	badExpiration       // once more without the header
	held                // our credential or topic: not the provider's fault
	staleToken          // our JWT or its connection: mint once and ask again
	tokenUpdates        // too many JWTs: keep the one we have and wait
	throttled           // too many requests for one device
	unavailable         // APNs, or what stands in its place, is not well
	unreachable         // there is no connection to APNs
	unsent              // not looked at by APNs: safe to repeat
	ambiguous           // written, and no answer: once more with the same apns-id
	unknown             // words that are not known here
)

// verdict is what APNs said about one attempt.
type verdict struct {
	class  class
	status binproto.Status // for the provider, of refused and badToken
	code   int             // the HTTP status, 0 without an answer
	reason string          // APNs' word, or the error that kept it from us
	since  int64           // of gone: milliseconds since 1970, 0 if APNs did not say
}

// Reasons that apns2 0.25 has no names for.
const (
	reasonUnrelatedKeyID      = "UnrelatedKeyIdInToken"
	reasonBadEnvironmentKeyID = "BadEnvironmentKeyIdInToken"
)

type answerKey struct {
	code   int
	reason string
}

// meanings is the table "Verdicts" of the design, without the rows that go by
// the HTTP status alone.
var meanings = map[answerKey]verdict{
	{400, apns2.ReasonBadDeviceToken}:         {class: badToken, status: binproto.InvalidToken},
	{400, apns2.ReasonDeviceTokenNotForTopic}: {class: badToken, status: binproto.InvalidToken},
	{400, apns2.ReasonMissingDeviceToken}:     {class: refused, status: binproto.MissingDeviceToken},
	{400, apns2.ReasonPayloadEmpty}:           {class: refused, status: binproto.MissingPayload},
	{413, apns2.ReasonPayloadTooLarge}:        {class: refused, status: binproto.InvalidPayloadSize},
	{410, apns2.ReasonUnregistered}:           {class: gone},
	{410, apns2.ReasonExpiredToken}:           {class: gone},
	{400, apns2.ReasonBadPriority}:            {class: badPriority},
	{400, apns2.ReasonInvalidPushType}:        {class: badPushType},
	{400, apns2.ReasonBadExpirationDate}:      {class: badExpiration},

	{400, apns2.ReasonBadTopic}:                  {class: held},
	{400, apns2.ReasonMissingTopic}:              {class: held},
	{400, apns2.ReasonTopicDisallowed}:           {class: held},
	{403, apns2.ReasonBadCertificate}:            {class: held},
	{403, apns2.ReasonBadCertificateEnvironment}: {class: held},
	{403, apns2.ReasonForbidden}:                 {class: held},
	{403, apns2.ReasonInvalidProviderToken}:      {class: held},
	{403, apns2.ReasonMissingProviderToken}:      {class: held},
	{403, reasonBadEnvironmentKeyID}:             {class: held},

	{403, apns2.ReasonExpiredProviderToken}:        {class: staleToken},
	{403, reasonUnrelatedKeyID}:                    {class: staleToken},
	{429, apns2.ReasonTooManyProviderTokenUpdates}: {class: tokenUpdates},
	{429, apns2.ReasonTooManyRequests}:             {class: throttled},
	{400, apns2.ReasonIdleTimeout}:                 {class: unavailable},
	{503, apns2.ReasonShutdown}:                    {class: unsent},
}

// judge reads an answer. body is borrowed and may be anything.
func judge(code int, body []byte) verdict {
	if code == http.StatusOK {
		return verdict{class: accepted, code: code}
	}
	var said struct {
		Reason    string
		Timestamp json.RawMessage
	}
	if json.Unmarshal(body, &said) != nil || said.Reason == "" {
		return verdict{class: unavailable, code: code, reason: "an answer without a reason"}
	}
	v, known := meanings[answerKey{code, said.Reason}]
	switch {
	case known:
	case code >= 500:
		v.class = unavailable
	default:
		v.class = unknown
	}
	v.code, v.reason = code, said.Reason
	if v.class == gone {
		v.since = millisOf(said.Timestamp)
	}
	return v
}

// millisOf reads a timestamp of APNs, milliseconds since 1970. It also takes a
// string or a fraction, and a number too small for milliseconds as the seconds
// it must be. 0 stands for everything else.
func millisOf(raw json.RawMessage) int64 {
	text := string(raw)
	if unquoted, err := strconv.Unquote(text); err == nil {
		text = unquoted
	}
	f, err := strconv.ParseFloat(text, 64)
	const earliestMillis = 1e11 // March 1973
	if f < earliestMillis {
		f *= 1000
	}
	if err != nil || !(f >= 1000 && f <= math.MaxUint32*1000) {
		return 0
	}
	return int64(f)
}

// goneAt is the time for the feedback list: APNs' own, unless it said none or
// one that has not come yet; then the time the push was sent.
func (v verdict) goneAt(sent, now time.Time) time.Time {
	if v.since == 0 || v.since > now.Add(time.Hour).UnixMilli() {
		return sent
	}
	return time.UnixMilli(v.since).UTC()
}
