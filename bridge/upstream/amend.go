package upstream

import "apnsbridge/bridge/pushtype"

// Amend changes what APNs called wrong, for one more attempt.
func (q *Request) Amend(c Class) {
	switch c {
	case BadPriority:
		if q.Priority == 10 {
			q.Priority = pushtype.BackgroundPriority
		} else {
			q.Priority = 10
		}
	case BadPushType:
		if q.PushType == pushtype.Alert {
			q.PushType, q.Priority = pushtype.Background, pushtype.BackgroundPriority
		} else {
			q.PushType, q.Priority = pushtype.Alert, 10
		}
	case BadExpiration:
		q.Expiration = NoExpiration
	}
}
