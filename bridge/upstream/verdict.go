package upstream

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/sideshow/apns2"

	"apnsbridge/binproto"
)

// Class is what an attempt's end means for the notification.
type Class uint8

const (
	Accepted          Class = iota + 1
	Refused                 // the provider's fault: it is told Verdict.Status
	BadToken                // the same with status 8, the only one that feedback ever hears of
	Gone                    // the app has left the device: feedback, in silence
	BadPriority             // once more with another priority
	BadPushType             // once more with another push type
	BadExpiration           // once more without the header
	CredentialRefused       // our credential: not the provider's fault
	TopicRefused            // our topic, under this credential: not the provider's fault either
	StaleToken              // our JWT or its connection: mint once and ask again
	TokenUpdates            // too many JWTs: keep the one we have and wait
	Throttled               // too many requests for one device
	ServerError             // APNs, or what stands in its place, is not well
	NoConnection            // there is no connection to APNs
	Unprocessed             // not looked at by APNs: safe to repeat
	NoAnswer                // written, and no answer: once more with the same apns-id
	Unknown                 // words that are not known here
)

// Verdict is what APNs said about one attempt.
type Verdict struct {
	Class  Class
	Status binproto.Status // for the provider, of Refused and BadToken
	Code   int             // the HTTP status, 0 without an answer
	Reason string          // APNs' word, or the error that kept it from us
	Since  int64           // of Gone: milliseconds since 1970, 0 if APNs did not say
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
var meanings = map[answerKey]Verdict{
	{400, apns2.ReasonBadDeviceToken}:         {Class: BadToken, Status: binproto.InvalidToken},
	{400, apns2.ReasonDeviceTokenNotForTopic}: {Class: BadToken, Status: binproto.InvalidToken},
	{400, apns2.ReasonMissingDeviceToken}:     {Class: Refused, Status: binproto.MissingDeviceToken},
	{400, apns2.ReasonPayloadEmpty}:           {Class: Refused, Status: binproto.MissingPayload},
	{413, apns2.ReasonPayloadTooLarge}:        {Class: Refused, Status: binproto.InvalidPayloadSize},
	{410, apns2.ReasonUnregistered}:           {Class: Gone},
	{410, apns2.ReasonExpiredToken}:           {Class: Gone},
	{400, apns2.ReasonBadPriority}:            {Class: BadPriority},
	{400, apns2.ReasonInvalidPushType}:        {Class: BadPushType},
	{400, apns2.ReasonBadExpirationDate}:      {Class: BadExpiration},

	{400, apns2.ReasonBadTopic}:                  {Class: TopicRefused},
	{400, apns2.ReasonMissingTopic}:              {Class: TopicRefused},
	{400, apns2.ReasonTopicDisallowed}:           {Class: TopicRefused},
	{403, apns2.ReasonBadCertificate}:            {Class: CredentialRefused},
	{403, apns2.ReasonBadCertificateEnvironment}: {Class: CredentialRefused},
	{403, apns2.ReasonForbidden}:                 {Class: CredentialRefused},
	{403, apns2.ReasonInvalidProviderToken}:      {Class: CredentialRefused},
	{403, apns2.ReasonMissingProviderToken}:      {Class: CredentialRefused},
	{403, reasonBadEnvironmentKeyID}:             {Class: CredentialRefused},

	{403, apns2.ReasonExpiredProviderToken}:        {Class: StaleToken},
	{403, reasonUnrelatedKeyID}:                    {Class: StaleToken},
	{429, apns2.ReasonTooManyProviderTokenUpdates}: {Class: TokenUpdates},
	{429, apns2.ReasonTooManyRequests}:             {Class: Throttled},
	{400, apns2.ReasonIdleTimeout}:                 {Class: ServerError},
	{503, apns2.ReasonShutdown}:                    {Class: Unprocessed},
}

// judge reads an answer. body is borrowed and may be anything.
func judge(code int, body []byte) Verdict {
	if code == http.StatusOK {
		return Verdict{Class: Accepted, Code: code}
	}
	var said struct {
		Reason    string
		Timestamp json.RawMessage
	}
	if json.Unmarshal(body, &said) != nil || said.Reason == "" {
		return Verdict{Class: ServerError, Code: code, Reason: "an answer without a reason"}
	}
	v, known := meanings[answerKey{code, said.Reason}]
	switch {
	case known:
	case code >= 500:
		v.Class = ServerError
	default:
		v.Class = Unknown
	}
	v.Code, v.Reason = code, said.Reason
	if v.Class == Gone {
		v.Since = millisOf(said.Timestamp)
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

// GoneAt is the time for the feedback list: APNs' own, unless it said none or
// one that has not come yet; then the time the push was sent.
func (v Verdict) GoneAt(sent, now time.Time) time.Time {
	if v.Since == 0 || v.Since > now.Add(time.Hour).UnixMilli() {
		return sent
	}
	return time.UnixMilli(v.Since).UTC()
}
