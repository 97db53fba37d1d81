package bridge

import (
	"bytes"
	"slices"
	"testing"

	"apnsbridge/bridge/pushtype"
	"apnsbridge/bridge/upstream"
	"apnsbridge/store"
)

// Whatever is in the spool makes either an error, or a notification that is encoded to the
// same bytes.
func FuzzReadBody(f *testing.F) {
	n := &notification{taken: 1_700_000_000, Push: upstream.Push{Request: upstream.Request{
		Topic: topic, PushType: pushtype.Alert, Expiration: upstream.NoExpiration, ID: upstream.NewUUID(), Priority: 10,
	}}}
	n.copy([]byte("token"), []byte("{}"))
	body := appendBody(nil, n)
	f.Add([]byte("token"), body)
	f.Add([]byte("token"), body[:storedHead])
	f.Add([]byte{}, body)
	f.Add([]byte("token"), slices.Concat(body[:2], bytes.Repeat([]byte{0x30}, 8), body[10:])) // a time that overflows
	f.Fuzz(func(t *testing.T, token, body []byte) {
		n, err := readBody(&store.SpoolRecord{SpoolKey: store.SpoolKey{Token: token}, Body: body})
		if err != nil {
			return
		}
		if again := appendBody(nil, n); !bytes.Equal(again, body) || !bytes.Equal(n.Token(), token) {
			t.Errorf("% x of % x came back as % x of % x", body, token, again, n.Token())
		}
	})
}
