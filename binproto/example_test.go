package binproto_test

import (
	"fmt"
	"time"

	"apnsbridge/binproto"
)

// A gateway reads what has arrived, frame by frame: what ends within a frame is kept until
// there is more, and a refused frame is answered with its status and skipped.
func ExampleParser_Parse() {
	token := []byte("0123456789abcdef0123456789abcdef")
	good := binproto.Notification{Command: binproto.Framed, Token: token, Payload: []byte(`{"aps":{"badge":1}}`),
		Identifier: 1, HasIdentifier: true}
	short := binproto.Notification{Command: binproto.Enhanced, Token: token[:4], Payload: []byte(`{}`),
		Identifier: 2, HasIdentifier: true}
	stream := short.Append(good.Append(nil))
	stream = append(stream, good.Append(nil)[:10]...)

	parser := binproto.DefaultParser()
	var n binproto.Notification
	for {
		size, err := parser.Parse(stream, &n)
		switch {
		case err == nil:
			fmt.Printf("%d bytes: %d says %s\n", size, n.Identifier, n.Payload)
		case size > 0:
			fmt.Printf("%d bytes: %d is refused: %v\n", size, n.Identifier, err)
		default:
			fmt.Println(err)
			return
		}
		stream = stream[size:]
	}
	// Output:
	// 69 bytes: 1 says {"aps":{"badge":1}}
	// 19 bytes: 2 is refused: invalid token size
	// binproto: frame is not complete
}

// The six bytes that name the first notification that failed.
func ExampleResponse_Append() {
	packet := binproto.Response{Status: binproto.InvalidToken, Identifier: 7}.Append(nil)
	fmt.Printf("% x\n", packet)
	r, err := binproto.ParseResponse(packet)
	fmt.Println(r.Identifier, r.Status, err)
	// Output:
	// 08 08 00 00 00 07
	// 7 invalid token <nil>
}

// A feedback client reads tuples until the service ends the connection.
func ExampleParseTuple() {
	stream := binproto.Tuple{Time: 1_606_521_600, Token: []byte{0xde, 0xad, 0x01}}.Append(nil)
	var t binproto.Tuple
	size, err := binproto.ParseTuple(stream, &t)
	fmt.Printf("%d bytes: %x since %s, %v\n", size, t.Token, time.Unix(int64(t.Time), 0).UTC().Format(time.DateOnly), err)
	// Output: 9 bytes: dead01 since 2020-11-28, <nil>
}
