package bench

import (
	"bytes"
	"testing"

	"apnsbridge/binproto"
)

// frameSize is the size of a typical notification on the wire, in bytes.
const frameSize = 250

// notification returns one whose frame, with the given command, has frameSize bytes.
func notification(command binproto.Command) *binproto.Notification {
	n := &binproto.Notification{
		Command: command, Token: bytes.Repeat([]byte{0xab}, 32), Identifier: 7, HasIdentifier: true,
		Expiry: 1_795_000_000, HasExpiry: true, Priority: 10,
	}
	const around = `{"aps":{"alert":""}}`
	text := make([]byte, frameSize-len(n.Append(nil))-len(around))
	for i := range text {
		text[i] = 'a' + byte(i%26)
	}
	n.Payload = []byte(`{"aps":{"alert":"` + string(text) + `"}}`)
	return n
}

// BenchmarkParse reads one frame of 250 bytes.
func BenchmarkParse(b *testing.B) {
	for _, bb := range []struct {
		name    string
		command binproto.Command
		change  func(n *binproto.Notification) // nil for a good frame
		want    error
	}{
		{"simple", binproto.Simple, nil, nil},
		{"enhanced", binproto.Enhanced, nil, nil},
		{"framed", binproto.Framed, nil, nil},
		{"simple/no-token", binproto.Simple, func(n *binproto.Notification) { n.Token = nil }, binproto.MissingDeviceToken},
		{"enhanced/token-size", binproto.Enhanced, func(n *binproto.Notification) { n.Token = n.Token[:31] }, binproto.InvalidTokenSize},
		{"enhanced/no-payload", binproto.Enhanced, func(n *binproto.Notification) { n.Payload = nil }, binproto.MissingPayload},
		{"enhanced/payload-size", binproto.Enhanced, func(n *binproto.Notification) { n.Payload = bytes.Repeat([]byte("x"), 4097) }, binproto.InvalidPayloadSize},
		{"framed/two-tokens", binproto.Framed, func(n *binproto.Notification) { n.Layout = binproto.LayoutOf(1, 1, 2, 3, 4, 5) }, binproto.Unknown},
	} {
		b.Run(bb.name, func(b *testing.B) {
			n := notification(bb.command)
			if bb.change != nil {
				bb.change(n)
			}
			measureParse(b, n.Append(nil), bb.want)
		})
	}
	b.Run("framed/cut-short", func(b *testing.B) {
		frame := notification(binproto.Framed).Append(nil)
		measureParse(b, frame[:len(frame)-1], binproto.ErrShort)
	})
	b.Run("unknown-command", func(b *testing.B) {
		measureParse(b, []byte("GET / HTTP/1.1\r\n\r\n"), binproto.UnknownCommand)
	})
}

func measureParse(b *testing.B, frame []byte, want error) {
	parser := binproto.DefaultParser()
	var n binproto.Notification
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parser.Parse(frame, &n); err != want {
			b.Fatalf("got %v, want %v", err, want)
		}
	}
}

// BenchmarkAppend writes one frame of 250 bytes.
func BenchmarkAppend(b *testing.B) {
	for name, command := range map[string]binproto.Command{"simple": binproto.Simple, "enhanced": binproto.Enhanced,
		"framed": binproto.Framed} {
		b.Run(name, func(b *testing.B) {
			n, buf := notification(command), make([]byte, 0, frameSize)
			b.SetBytes(frameSize)
			b.ReportAllocs()
			for b.Loop() {
				if got := len(n.Append(buf)); got != frameSize {
					b.Fatalf("got %d bytes, want %d", got, frameSize)
				}
			}
		})
	}
}
