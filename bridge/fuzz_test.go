package bridge

import (
	"bytes"
	"testing"

	"apnsbridge/bridge/pushtype"
	"apnsbridge/bridge/upstream"
	"apnsbridge/store"
)

// Whatever is in the spool makes a notification that is written down as the same,
// or an error.
func FuzzReadSpooled(f *testing.F) {
	r := &record{Push: upstream.Push{Request: upstream.Request{
		Topic: topic, PushType: pushtype.Alert, Expiration: upstream.NoExpiration, ID: upstream.NewUUID(), Priority: 10,
	}}}
	r.copy([]byte("token"), []byte("{}"))
	body := appendSpooled(nil, r)
	f.Add([]byte("token"), body)
	f.Add([]byte("token"), body[:spooledHead])
	f.Add([]byte{}, body)
	f.Fuzz(func(t *testing.T, token, body []byte) {
		r, err := readSpooled(&store.SpoolRecord{Token: token, Body: body})
		if err != nil {
			return
		}
		if again := appendSpooled(nil, r); len(again) != len(body) || !bytes.Equal(again[3:], body[3:]) || !bytes.Equal(r.Token(), token) {
			t.Errorf("% x of % x came back as % x of % x", body, token, again, r.Token())
		}
	})
}
