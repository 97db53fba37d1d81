package provider

import (
	"bytes"
	"testing"
	"time"

	"apnsbridge/binproto"

	"pgregory.net/rapid"
)

// model is a history that forgets nothing and knows what should be forgotten.
type model struct {
	all         []binproto.Notification
	first, next int
	oldest      int
}

// The history does what the naive model does.
func TestHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := history{limit: rapid.IntRange(1, 9).Draw(t, "limit")}
		var m model
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				n := binproto.Notification{
					Command:       binproto.Command(rapid.IntRange(0, 2).Draw(t, "command")),
					Token:         token(len(m.all)),
					Payload:       make([]byte, rapid.IntRange(0, 5).Draw(t, "payload")),
					Identifier:    uint32(rapid.IntRange(0, 3).Draw(t, "identifier")),
					HasIdentifier: true,
				}
				want := len(m.all)-m.next < max(1, h.limit/2)
				if got := h.put(&n); got != want {
					t.Fatalf("put: got %v, want %v", got, want)
				}
				if want {
					m.all = append(m.all, n)
					m.oldest = max(m.oldest, len(m.all)-h.limit)
				}
			},
			"write": func(t *rapid.T) {
				size := rapid.IntRange(1, 200).Draw(t, "size")
				var want []byte
				for i := m.next; i < len(m.all) && len(want) < size; i++ {
					want = m.all[i].Append(want)
				}
				got, _ := h.unwritten(nil, size, atOnce)
				if !bytes.Equal(got, want) {
					t.Fatalf("unwritten: got %x, want %x", got, want)
				}
				n := rapid.IntRange(0, len(got)).Draw(t, "written")
				frames, left := 0, n
				for m.next < len(m.all) && left >= len(m.all[m.next].Append(nil)) {
					left -= len(m.all[m.next].Append(nil))
					m.next++
					frames++
				}
				if got := h.wrote(n); got != frames {
					t.Fatalf("wrote: got %d frames, want %d", got, frames)
				}
			},
			"reconnect": func(t *rapid.T) {
				h.reconnect()
				m.first, m.oldest = m.next, m.next
			},
			"fail": func(t *rapid.T) {
				identifier := uint32(rapid.IntRange(0, 3).Draw(t, "identifier"))
				want := -1
				for i := max(m.oldest, m.first); i < m.next && want < 0; i++ {
					if m.all[i].Command != binproto.Simple && m.all[i].Identifier == identifier {
						want = i
					}
				}
				got, ok := h.find(identifier)
				if ok != (want >= 0) || ok && got != want {
					t.Fatalf("find: got %d, %v, want %d", got, ok, want)
				}
				if !ok {
					return
				}
				if !bytes.Equal(h.at(got).token, m.all[want].Token) {
					t.Fatalf("token: got %x, want %x", h.at(got).token, m.all[want].Token)
				}
				h.rewind(got + 1)
				h.reconnect()
				m.next = want + 1
				m.first, m.oldest = m.next, m.next
			},
			"": func(t *rapid.T) {
				if h.end != len(m.all) || h.next != m.next || h.oldest != m.oldest || len(h.slots) > h.limit {
					t.Fatalf("got end %d, next %d, oldest %d and %d slots; want %d, %d, %d and at most %d",
						h.end, h.next, h.oldest, len(h.slots), len(m.all), m.next, m.oldest, h.limit)
				}
				want := 0
				if m.oldest > m.first && m.oldest < m.next && m.all[m.oldest].Command != binproto.Simple {
					want = m.oldest - m.first
				}
				if got := h.forgotten(); got != want {
					t.Fatalf("forgotten: got %d, want %d", got, want)
				}
			},
		})
	})
}

func atOnce() time.Duration { return 0 }

// In its second round the ring allocates nothing.
func TestHistoryAllocs(t *testing.T) {
	h := history{limit: 100}
	n := binproto.Notification{Command: binproto.Framed, Token: token(1), Payload: make([]byte, 100), HasIdentifier: true}
	buf := make([]byte, 0, 1<<16)
	round := func() {
		for h.put(&n) {
		}
		b, _ := h.unwritten(buf, 1<<16, atOnce)
		h.wrote(len(b))
	}
	for range 3 {
		round()
	}
	if allocs := testing.AllocsPerRun(100, round); allocs != 0 {
		t.Errorf("got %v allocations, want 0", allocs)
	}
}
