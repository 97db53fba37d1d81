package binproto

import "encoding/binary"

// ResponseSize is the length of an error response in bytes.
const ResponseSize = 6

const responseCommand = 8

// Response is the error response: the status of the first notification that
// failed on a connection, and that notification's identifier.
type Response struct {
	Status     Status
	Identifier uint32
}

// Append appends the six bytes of r to b.
func (r Response) Append(b []byte) []byte {
	b = append(b, responseCommand, byte(r.Status))
	return binary.BigEndian.AppendUint32(b, r.Identifier)
}

// ParseResponse reads the error response at the start of b. It returns ErrShort
// if b holds fewer than ResponseSize bytes of one, and UnknownCommand if b
// begins with anything else.
func ParseResponse(b []byte) (Response, error) {
	if len(b) > 0 && b[0] != responseCommand {
		return Response{}, UnknownCommand
	}
	if len(b) < ResponseSize {
		return Response{}, ErrShort
	}
	return Response{Status: Status(b[1]), Identifier: binary.BigEndian.Uint32(b[2:])}, nil
}
