package binproto

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// captured is one frame of expected.json, as an independent decoder read it.
type captured struct {
	Command    Command `json:"command"`
	Token      string  `json:"token"`
	Payload    string  `json:"payload"`
	Identifier *uint32 `json:"identifier"`
	Expiry     *uint32 `json:"expiry"`
	Priority   uint8   `json:"priority"`
	Items      []int   `json:"items"`
}

// captures gives the recorded streams of testdata/captures by file name, and
// what each says.
func captures(t *testing.T) (streams map[string][]byte, expected map[string][]captured) {
	t.Helper()
	text, err := os.ReadFile("testdata/captures/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &expected); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob("testdata/captures/*.bin")
	if err != nil || len(names) != len(expected) {
		t.Fatalf("%d streams for %d expectations (%v)", len(names), len(expected), err)
	}
	streams = make(map[string][]byte)
	for _, name := range names {
		if streams[filepath.Base(name)], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	return streams, expected
}

// decode reads a stream that arrives in two pieces, as a connection would:
// what is left of the first is kept until the second comes.
func decode(t *testing.T, first, second []byte) (frames []Notification, statuses []error) {
	t.Helper()
	var buf []byte
	for _, piece := range [][]byte{first, second} {
		buf = append(buf, piece...)
		for {
			var n Notification
			size, err := DefaultParser().Parse(buf, &n)
			if err == ErrShort {
				break
			}
			if size == 0 {
				t.Fatalf("at %.60x: %v", buf, err)
			}
			n.Token, n.Payload = bytes.Clone(n.Token), bytes.Clone(n.Payload)
			frames, statuses = append(frames, n), append(statuses, err)
			buf = buf[size:]
		}
	}
	if len(buf) > 0 {
		t.Fatalf("%d bytes left over: %.60x", len(buf), buf)
	}
	return frames, statuses
}

// Every stream decodes to exactly its frames, cut at every byte.
func TestCaptures(t *testing.T) {
	streams, expected := captures(t)
	for name, stream := range streams {
		t.Run(strings.TrimSuffix(name, ".bin"), func(t *testing.T) {
			for cut := range len(stream) + 1 {
				frames, statuses := decode(t, stream[:cut:cut], stream[cut:])
				if len(frames) != len(expected[name]) {
					t.Fatalf("cut at %d: got %d frames, want %d", cut, len(frames), len(expected[name]))
				}
				for i, want := range expected[name] {
					want.compare(t, frames[i], statuses[i])
				}
				if t.Failed() {
					t.Fatalf("cut at %d", cut)
				}
			}
		})
	}
}

func (want captured) compare(t *testing.T, got Notification, status error) {
	t.Helper()
	if want.Token == "" && status != MissingDeviceToken {
		t.Errorf("got %v for a frame without token, want %v", status, MissingDeviceToken)
	}
	if want.Token != "" && status != nil {
		t.Errorf("got %v", status)
	}
	if got.Command != want.Command || hex.EncodeToString(got.Token) != want.Token ||
		string(got.Payload) != want.Payload || got.Priority != want.Priority {
		t.Errorf("got command %d, token %x, payload %q, priority %d; want %d, %s, %q, %d", got.Command, got.Token,
			got.Payload, got.Priority, want.Command, want.Token, want.Payload, want.Priority)
	}
	optional(t, "identifier", got.Identifier, got.HasIdentifier, want.Identifier)
	optional(t, "expiry", got.Expiry, got.HasExpiry, want.Expiry)
	var items []int
	for _, id := range got.Layout.AppendItems(nil) {
		items = append(items, int(id))
	}
	if len(items) != len(want.Items) {
		t.Fatalf("got items %v, want %v", items, want.Items)
	}
	for i := range items {
		if items[i] != want.Items[i] {
			t.Errorf("got items %v, want %v", items, want.Items)
		}
	}
}

func optional(t *testing.T, name string, got uint32, has bool, want *uint32) {
	t.Helper()
	if has != (want != nil) || has && got != *want {
		t.Errorf("got %s %d (present: %v), want %v", name, got, has, want)
	}
}

// What a library wrote is what Append writes for it.
func TestCapturesAppend(t *testing.T) {
	streams, _ := captures(t)
	for name, stream := range streams {
		if name == "pushy.bin" {
			continue // its farewell is refused, so that its empty items are gone
		}
		frames, _ := decode(t, stream, nil)
		var got []byte
		for i := range frames {
			got = frames[i].Append(got)
		}
		if !bytes.Equal(got, stream) {
			t.Errorf("%s: got %x, want %x", name, got, stream)
		}
	}
}
