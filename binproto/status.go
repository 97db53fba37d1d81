package binproto

import "strconv"

// Status is the second byte of an error response. As an error it says why a
// frame was refused.
type Status uint8

// The statuses of Apple's table "Codes in error-response packet".
const (
	NoError            Status = 0
	ProcessingError    Status = 1
	MissingDeviceToken Status = 2
	MissingTopic       Status = 3
	MissingPayload     Status = 4
	InvalidTokenSize   Status = 5
	InvalidTopicSize   Status = 6
	InvalidPayloadSize Status = 7
	InvalidToken       Status = 8
	Shutdown           Status = 10 // the identifier names the last notification that was sent
	ProtocolError      Status = 128
	Unknown            Status = 255
)

// Error gives Apple's words for the status.
func (s Status) Error() string {
	switch s {
	case NoError:
		return "no errors encountered"
	case ProcessingError:
		return "processing error"
	case MissingDeviceToken:
		return "missing device token"
	case MissingTopic:
		return "missing topic"
	case MissingPayload:
		return "missing payload"
	case InvalidTokenSize:
		return "invalid token size"
	case InvalidTopicSize:
		return "invalid topic size"
	case InvalidPayloadSize:
		return "invalid payload size"
	case InvalidToken:
		return "invalid token"
	case Shutdown:
		return "shutdown"
	case ProtocolError:
		return "protocol error"
	case Unknown:
		return "unknown error"
	}
	return "status " + strconv.Itoa(int(s))
}
