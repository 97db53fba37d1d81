package upstream

import "apnsbridge/binproto"

// An answer of APNs and what it means. docs/verdicts.md is made from these tables,
// and so is what stands in braces in a remedy.
type answer struct {
	code   int
	reason string // empty: every other word with this status
	class  Class
	status binproto.Status // for the provider
	leave  bool            // the connection gets no more requests: what it says, it says of itself
	means  string          // in Apple's sense
	remedy string          // what the operator does about it, with names in braces; see Question.Advice
}

// NotForTopic is APNs' word for the token of another app.
const NotForTopic = "DeviceTokenNotForTopic"

// answers are those of Apple's page, with what its servers say beside it, in the
// page's order.
//
// https://developer.apple.com/documentation/usernotifications/handling-notification-responses-from-apns
var answers = []answer{
	{code: 200, class: Accepted, means: "success"},

	{code: 400, reason: "BadCollapseId", class: Unknown, means: "the collapse identifier is too long",
		remedy: "this gateway sends none: is the endpoint APNs?"},
	{code: 400, reason: "BadDeviceToken", class: BadToken, status: binproto.InvalidToken,
		means: "the token is none of this environment", remedy: remedyToken},
	{code: 400, reason: "BadExpirationDate", class: BadExpiration, means: "apns-expiration is bad",
		remedy: "it was refused with the header and without: is the endpoint APNs?"},
	{code: 400, reason: "BadMessageId", class: Unknown, means: "apns-id is bad",
		remedy: "this gateway sends a UUID: does something between it and APNs change requests?"},
	{code: 400, reason: "BadPriority", class: BadPriority, means: "apns-priority is bad",
		remedy: "it was refused with two priorities: " + remedyPushType},
	{code: 400, reason: "BadTopic", class: TopicRefused, means: "apns-topic is bad", remedy: remedyTopic},
	{code: 400, reason: NotForTopic, class: BadToken, status: binproto.InvalidToken,
		means: "the token is for another topic", remedy: "it is the token of another app than {topic}: if that is so of all " +
			"tokens, correct the app's topic; else have the provider delete it"},
	{code: 400, reason: "DuplicateHeaders", class: Unknown, means: "a header field came twice",
		remedy: "this gateway sends each once: does something between it and APNs change requests?"},
	{code: 400, reason: "IdleTimeout", class: ServerError, leave: true, means: "the server closes an idle connection",
		remedy: remedyLater},
	{code: 400, reason: "InvalidPushType", class: BadPushType, means: "apns-push-type is bad for the topic",
		remedy: "it was refused with two types: " + remedyPushType},
	{code: 400, reason: "MissingDeviceToken", class: Refused, status: binproto.MissingDeviceToken,
		means: "there is no token in the path", remedy: "have the provider send no notification without a token"},
	{code: 400, reason: "MissingTopic", class: TopicRefused,
		means:  "apns-topic is missing, and the certificate is for several",
		remedy: "name the app's topic: the push certificate is for several"},
	{code: 400, reason: "PayloadEmpty", class: Refused, status: binproto.MissingPayload,
		means: "there is no payload", remedy: "have the provider send no notification without a payload"},
	{code: 400, reason: "TopicDisallowed", class: TopicRefused, means: "pushing to this topic is not allowed",
		remedy: remedyTopic},
	{code: 400, class: Unknown, means: "words that are not known here", remedy: remedyUnknown},

	{code: 401, class: CredentialRefused, means: "not in use by APNs", remedy: remedyCredential},

	{code: 403, reason: "BadCertificate", class: CredentialRefused, means: "the certificate is bad",
		remedy: "the push certificate is not taken: make a new one in Apple's developer site, or use a token"},
	{code: 403, reason: "BadCertificateEnvironment", class: CredentialRefused,
		means:  "the certificate is for the other environment",
		remedy: "the push certificate is for {other} alone: {instead}"},
	{code: 403, reason: "BadEnvironmentKeyIdInToken", class: CredentialRefused,
		means: "the key is for the other environment", remedy: remedyKey},
	{code: 403, reason: "BadEnvironmentKeyInToken", class: CredentialRefused,
		means: "the same, as the servers spell it", remedy: remedyKey},
	{code: 403, reason: "ExpiredProviderToken", class: StaleToken, means: "the JWT is too old",
		remedy: "the provider token is of this half hour: set this machine's clock right"},
	{code: 403, reason: "Forbidden", class: CredentialRefused, means: "the action is not allowed",
		remedy: remedyCredential},
	{code: 403, reason: "InvalidProviderToken", class: CredentialRefused,
		means: "the JWT is not valid, or not signed by a key of the team",
		remedy: "the key is not one of team {team} under the name {key}: correct key, key_id and team_id, " +
			"and see in Apple's developer site that the key is not revoked, and that this machine's clock is right"},
	{code: 403, reason: "MissingProviderToken", class: CredentialRefused, means: "neither certificate nor JWT came",
		remedy: remedyCredential},
	{code: 403, reason: "UnrelatedKeyIdInToken", class: Unprocessed, leave: true,
		means:  "the connection belongs to another key",
		remedy: "the key {key} is not related to that of the connection: correct key, key_id and team_id"},
	{code: 403, class: CredentialRefused, means: "words that are not known here", remedy: remedyCredential},

	{code: 404, reason: "BadPath", class: ServerError, leave: true, means: "the path is bad", remedy: remedyEndpoint},
	{code: 405, reason: "MethodNotAllowed", class: ServerError, leave: true, means: "the method is not POST",
		remedy: remedyEndpoint},

	{code: 410, reason: "ExpiredToken", class: Gone, means: "the token has expired"},
	{code: 410, reason: "Unregistered", class: Gone, means: "the app is no longer on the device"},
	{code: 410, class: Unknown, means: "words that are not known here", remedy: remedyUnknown},

	{code: 413, reason: "PayloadTooLarge", class: Refused, status: binproto.InvalidPayloadSize,
		means: "the payload is too large", remedy: "have the provider send at most 4096 bytes, 5120 for VoIP"},
	{code: 413, class: Unknown, means: "words that are not known here", remedy: remedyUnknown},

	{code: 429, reason: "TooManyProviderTokenUpdates", class: TokenUpdates,
		means: "the key comes with another JWT too often",
		remedy: "too much was asked lately: wait 20 minutes, and see that no other program makes tokens " +
			"with this key more often, and that this machine's clock is right"},
	{code: 429, reason: "TooManyRequests", class: Throttled, means: "too many pushes to one device",
		remedy: "too much was asked lately: try again later"},
	{code: 429, class: ServerError, means: "words that are not known here", remedy: remedyLater},

	{code: 500, reason: "InternalServerError", class: ServerError, means: "an internal error", remedy: remedyLater},
	{code: 503, reason: "ServiceUnavailable", class: ServerError, means: "the service is not available",
		remedy: remedyLater},
	{code: 503, reason: "Shutdown", class: Unprocessed, leave: true, means: "the server shuts down",
		remedy: remedyLater},
}

const (
	remedyCredential = "the credential is not taken: see in Apple's developer site that it is a push credential, " +
		"good for {environment} and the topic, and not revoked"
	remedyKey      = "the key {key} is for {other} alone: {instead}"
	remedyTopic    = "the credential is not for the topic {topic}: {for topic}"
	remedyPushType = "set the app's push_type to the one that its topic takes"
	remedyVain     = "see Apple's system status, and whether the endpoint is APNs"
	remedyToken    = "it is no token of {environment}: if the app on the devices was built for {other}, set the app's environment; " +
		"else have the provider delete the token"
	remedyLater    = "wait, and see Apple's system status"
	remedyEndpoint = "this says nothing about the credential: is the endpoint APNs?"
	remedyUnknown  = "this says nothing about the credential: is the endpoint APNs, " +
		"and the app's push_type one for its topic?"
)

// The words of a remedy that depend on the app.
const (
	insteadOne    = "use one for {environment}, or set the app's environment"
	insteadBoth   = "give each environment its own, under credential.production and credential.sandbox"
	topicOfKey    = "correct the app's topic, use a key of its team, or add one that is for this topic"
	topicOfKeys   = "name it under topics of the key that is for it"
	topicOfPair   = "correct the app's topic, or use the certificate of its app"
	topicOfDevice = "it is an MDM topic, which takes the MDM push certificate and never a token"
)

// What is not in answers goes by these: an answer of another status, and one
// without a word of APNs, which something on the way has given.
var (
	otherServer = answer{class: ServerError, means: "a status from 500 on", remedy: remedyLater}
	otherStatus = answer{class: ServerError, leave: true, means: "any other status", remedy: remedyEndpoint}
	wordless    = answer{class: ServerError, leave: true, means: "an answer without a reason", remedy: remedyEndpoint}
)

// classes are the words for each Class, what the provider sees and what follows.
var classes = [...]struct{ name, sees, then string }{
	Accepted:      {"accepted", "nothing", "it is done"},
	Refused:       {"refused", "the status", "it is done"},
	BadToken:      {"bad token", "the status", "the token is remembered, and goes to feedback where no provider can be told"},
	Gone:          {"gone", "nothing", "feedback, with APNs' time"},
	BadPriority:   {"bad priority", "nothing", "once more with another priority, then it is dropped and counted"},
	BadPushType:   {"bad push type", "nothing", "once more with another push type, then it is dropped and counted"},
	BadExpiration: {"bad expiration", "nothing", "once more without the header, then it is dropped and counted"},
	CredentialRefused: {"credential refused", "nothing",
		"all of the app and environment wait; a probe goes out on a new connection"},
	TopicRefused: {"topic refused", "nothing", "all of the topic wait; a probe goes out on a new connection"},
	StaleToken:   {"stale token", "nothing", "another JWT and fresh connections, then again"},
	TokenUpdates: {"too many JWTs", "nothing",
		"the JWT is kept, all of the app and environment wait; a probe goes out on a new connection"},
	Throttled:    {"throttled", "nothing", "it waits for itself, and is dropped and counted in the end"},
	ServerError:  {"server error", "nothing", "it waits; several in a row let the others wait too"},
	NoConnection: {"no connection", "nothing", "all of the app and environment wait"},
	Unprocessed: {"unprocessed", "nothing",
		"again on another connection; five connections in a row without an answer count as no connection"},
	NoAnswer: {"no answer", "nothing", "once more with the same apns-id, counted: it may double"},
	Unknown:  {"unknown", "nothing, or 255 if `strict` is set", "it waits for itself, and is dropped and counted in the end"},
}
