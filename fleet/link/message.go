package link

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"apnsbridge/binproto"
)

// version is the version of the protocol that the package comment describes.
const version = 1

type kind uint8

const (
	hello    kind = 1
	alive    kind = 2
	open     kind = 3
	push     kind = 4
	reject   kind = 5
	readOn   kind = 6
	shutdown kind = 7
	closed   kind = 8
	read     kind = 9
	written  kind = 10
	finished kind = 11
	leave    kind = 12
	credit   kind = 16
	fail     kind = 17
	end      kind = 18
	gone     kind = 19
	tuples   kind = 20
	finish   kind = 21
)

const (
	headLen = 9
	maxBody = 256 << 10 // bytes: more than any frame or any text that we send
	maxText = 1 << 10   // bytes of a reason
)

// header precedes a body.
type header struct {
	kind    kind
	session uint32
	length  int
}

// parseHeader reads the first headLen bytes of b.
func parseHeader(b []byte) (h header, err error) {
	length := binary.BigEndian.Uint32(b[5:])
	if length > maxBody {
		return h, fmt.Errorf("link: a message of %d bytes; %d are the most", length, maxBody)
	}
	return header{kind(b[0]), binary.BigEndian.Uint32(b[1:]), int(length)}, nil
}

// begin appends a header without its length, which finishMessage fills in.
func begin(b []byte, k kind, session uint32) []byte {
	b = append(b, byte(k))
	b = binary.BigEndian.AppendUint32(b, session)
	return append(b, 0, 0, 0, 0)
}

// finishMessage fills in the length of the message that begins at start.
func finishMessage(b []byte, start int) []byte {
	binary.BigEndian.PutUint32(b[start+5:], uint32(len(b)-start-headLen))
	return b
}

// appendMessage appends a message with a body of bytes.
func appendMessage(b []byte, k kind, session uint32, body ...byte) []byte {
	start := len(b)
	return finishMessage(append(begin(b, k, session), body...), start)
}

// appendText appends a message with the bytes of before and a reason, which is clipped; a nil
// reason is empty.
func appendText(b []byte, k kind, session uint32, before []byte, reason error) []byte {
	start := len(b)
	b = append(begin(b, k, session), before...)
	if reason != nil {
		text := reason.Error()
		b = append(b, text[:min(len(text), maxText)]...)
	}
	return finishMessage(b, start)
}

func appendPush(b []byte, session uint32, n *binproto.Notification) []byte {
	start := len(b)
	return finishMessage(n.Append(begin(b, push, session)), start)
}

// rejectLen is the length of a reject's body.
const rejectLen = 13

func appendReject(b []byte, session uint32, n *binproto.Notification, status binproto.Status) []byte {
	start := len(b)
	b = append(begin(b, reject, session), byte(status), byte(n.Command), flag(n.HasIdentifier))
	b = binary.BigEndian.AppendUint32(b, n.Identifier)
	b = binary.BigEndian.AppendUint32(b, uint32(n.Layout))
	return finishMessage(binary.BigEndian.AppendUint16(b, n.Skipped), start)
}

func parseReject(body []byte, n *binproto.Notification) (status binproto.Status, err error) {
	if err := hasLength(reject, body, rejectLen); err != nil {
		return 0, err
	}
	*n = binproto.Notification{
		Command: binproto.Command(body[1]), HasIdentifier: body[2] != 0, Identifier: binary.BigEndian.Uint32(body[3:]),
		Layout: binproto.Layout(binary.BigEndian.Uint32(body[7:])), Skipped: binary.BigEndian.Uint16(body[11:]),
	}
	return binproto.Status(body[0]), nil
}

func appendCredit(b []byte, session uint32, notifications, bytes int) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint32(begin(b, credit, session), uint32(notifications))
	return finishMessage(binary.BigEndian.AppendUint32(b, uint32(bytes)), start)
}

func parseCredit(body []byte) (notifications, bytes int, err error) {
	if err := hasLength(credit, body, 8); err != nil {
		return 0, 0, err
	}
	return int(binary.BigEndian.Uint32(body)), int(binary.BigEndian.Uint32(body[4:])), nil
}

func appendLeave(b []byte, session uint32, patience time.Duration) []byte {
	ms := min(max(patience.Milliseconds(), 0), math.MaxUint32)
	return appendMessage(b, leave, session, binary.BigEndian.AppendUint32(nil, uint32(ms))...)
}

// failure is the body of a fail.
type failure struct {
	status     binproto.Status
	identifier uint32
	within     time.Duration // in whole milliseconds, 49 days at most
}

func appendFail(b []byte, session uint32, f failure) []byte {
	start := len(b)
	b = append(begin(b, fail, session), byte(f.status))
	b = binary.BigEndian.AppendUint32(b, f.identifier)
	within := min(max(f.within.Milliseconds(), 0), math.MaxUint32)
	return finishMessage(binary.BigEndian.AppendUint32(b, uint32(within)), start)
}

func parseFail(body []byte) (f failure, err error) {
	if err := hasLength(fail, body, 9); err != nil {
		return f, err
	}
	return failure{binproto.Status(body[0]), binary.BigEndian.Uint32(body[1:]),
		time.Duration(binary.BigEndian.Uint32(body[5:])) * time.Millisecond}, nil
}

func appendHello(b []byte, node string) []byte {
	start := len(b)
	return finishMessage(append(append(begin(b, hello, 0), version), node...), start)
}

// parseHello returns the name of the node at the other end.
func parseHello(body []byte) (node string, err error) {
	switch {
	case len(body) == 0:
		return "", fmt.Errorf("link: a hello of 0 bytes")
	case body[0] != version:
		return "", fmt.Errorf("link: the other node speaks version %d and this one version %d: let both run the same "+
			"program", body[0], version)
	case len(body) > 1+maxNode:
		return "", fmt.Errorf("link: a node's name of %d bytes; %d are the most", len(body)-1, maxNode)
	}
	return string(body[1:]), nil
}

// maxNode is the bound on the length of a node's name in bytes.
const maxNode = 64

func hasLength(k kind, body []byte, want int) error {
	if len(body) != want {
		return fmt.Errorf("link: a message of kind %d with %d bytes, want %d", k, len(body), want)
	}
	return nil
}

func flag(on bool) byte {
	if on {
		return 1
	}
	return 0
}
