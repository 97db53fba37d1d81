package apnssim

import (
	"fmt"
	"iter"
	"maps"
	"strings"
)

// Reason is Apple's word for why a push was rejected, the "reason" of an
// answer's JSON. Empty: it was not.
//
// https://developer.apple.com/documentation/usernotifications/handling-notification-responses-from-apns
type Reason string

// The reasons that Apple documents, and those that its servers were seen to say.
const (
	BadCollapseID               Reason = "BadCollapseId"
	BadDeviceToken              Reason = "BadDeviceToken"
	BadExpirationDate           Reason = "BadExpirationDate"
	BadMessageID                Reason = "BadMessageId"
	BadPriority                 Reason = "BadPriority"
	BadTopic                    Reason = "BadTopic"
	DeviceTokenNotForTopic      Reason = "DeviceTokenNotForTopic"
	DuplicateHeaders            Reason = "DuplicateHeaders"
	IdleTimeout                 Reason = "IdleTimeout"
	InvalidPushType             Reason = "InvalidPushType"
	MissingDeviceToken          Reason = "MissingDeviceToken"
	MissingTopic                Reason = "MissingTopic"
	PayloadEmpty                Reason = "PayloadEmpty"
	TopicDisallowed             Reason = "TopicDisallowed"
	BadCertificate              Reason = "BadCertificate"
	BadCertificateEnvironment   Reason = "BadCertificateEnvironment"
	ExpiredProviderToken        Reason = "ExpiredProviderToken"
	Forbidden                   Reason = "Forbidden"
	InvalidProviderToken        Reason = "InvalidProviderToken"
	MissingProviderToken        Reason = "MissingProviderToken"
	UnrelatedKeyIDInToken       Reason = "UnrelatedKeyIdInToken"
	BadEnvironmentKeyIDInToken  Reason = "BadEnvironmentKeyIdInToken"
	BadEnvironmentKeyInToken    Reason = "BadEnvironmentKeyInToken" // what the servers say for the one before
	BadPath                     Reason = "BadPath"
	MethodNotAllowed            Reason = "MethodNotAllowed"
	ExpiredToken                Reason = "ExpiredToken"
	Unregistered                Reason = "Unregistered"
	PayloadTooLarge             Reason = "PayloadTooLarge"
	TooManyProviderTokenUpdates Reason = "TooManyProviderTokenUpdates"
	TooManyRequests             Reason = "TooManyRequests"
	InternalServerError         Reason = "InternalServerError"
	ServiceUnavailable          Reason = "ServiceUnavailable"
	Shutdown                    Reason = "Shutdown"
)

var statuses = map[Reason]int{
	"":                          200,
	BadCollapseID:               400,
	BadDeviceToken:              400,
	BadExpirationDate:           400,
	BadMessageID:                400,
	BadPriority:                 400,
	BadTopic:                    400,
	DeviceTokenNotForTopic:      400,
	DuplicateHeaders:            400,
	IdleTimeout:                 400,
	InvalidPushType:             400,
	MissingDeviceToken:          400,
	MissingTopic:                400,
	PayloadEmpty:                400,
	TopicDisallowed:             400,
	BadCertificate:              403,
	BadCertificateEnvironment:   403,
	ExpiredProviderToken:        403,
	Forbidden:                   403,
	InvalidProviderToken:        403,
	MissingProviderToken:        403,
	UnrelatedKeyIDInToken:       403,
	BadEnvironmentKeyIDInToken:  403,
	BadEnvironmentKeyInToken:    403,
	BadPath:                     404,
	MethodNotAllowed:            405,
	ExpiredToken:                410,
	Unregistered:                410,
	PayloadTooLarge:             413,
	TooManyProviderTokenUpdates: 429,
	TooManyRequests:             429,
	InternalServerError:         500,
	ServiceUnavailable:          503,
	Shutdown:                    503,
}

// check wants a status beside a reason that has none of its own.
func (r Reason) check(status int) error {
	if _, known := statuses[r]; known || status != 0 {
		return nil
	}
	for own := range Reasons() {
		if strings.EqualFold(string(own), string(r)) {
			return fmt.Errorf("reason %q is written %s", r, own)
		}
	}
	return fmt.Errorf("reason %q is not one of Apple's, so it needs a status", r)
}

// Reasons gives all reasons with the status of each.
func Reasons() iter.Seq2[Reason, int] { return maps.All(statuses) }
