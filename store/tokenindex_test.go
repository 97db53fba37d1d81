package store

import (
	"encoding/binary"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// An index does what a map does.
func TestTokenIndex(t *testing.T) {
	apps := []string{"", "mail", "news"}
	rapid.Check(t, func(t *rapid.T) {
		type member struct {
			app   string
			token byte
		}
		index, model := NewTokenIndex(), make(map[member]uint64)
		draw := func(t *rapid.T) (member, uint64) {
			return member{rapid.SampledFrom(apps).Draw(t, "app"), rapid.ByteRange(0, 4).Draw(t, "token")}, rapid.Uint64Range(0,
				3).Draw(t, "revision")
		}
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				m, revision := draw(t)
				index.Put(m.app, []byte{m.token}, revision)
				model[m] = revision
			},
			"remove": func(t *rapid.T) {
				m, revision := draw(t)
				index.Remove(m.app, []byte{m.token}, revision)
				if model[m] == revision {
					delete(model, m)
				}
			},
			"": func(t *rapid.T) {
				if index.Len() != len(model) {
					t.Errorf("got length %d, want %d", index.Len(), len(model))
				}
				for _, app := range apps {
					for token := range byte(5) {
						got, ok := index.Get(app, []byte{token})
						if want, wantOK := model[member{app, token}]; got != want || ok != wantOK {
							t.Errorf("%q %d: got %d, %v, want %d, %v", app, token, got, ok, want, wantOK)
						}
					}
				}
			},
		})
	})
}

func TestTokenIndexConcurrent(t *testing.T) {
	index := NewTokenIndex()
	var workers sync.WaitGroup
	for w := range uint32(8) {
		workers.Go(func() {
			for i := range uint32(1000) {
				token := binary.BigEndian.AppendUint32(nil, w<<16|i)
				index.Put("mail", token, uint64(i))
				if got, ok := index.Get("mail", token); !ok || got != uint64(i) {
					t.Errorf("got %d, %v, want %d", got, ok, i)
				}
				if i%2 == 0 {
					index.Remove("mail", token, uint64(i))
				}
			}
		})
	}
	workers.Wait()
	if got := index.Len(); got != 8*500 {
		t.Errorf("got length %d, want %d", got, 8*500)
	}
}

// It is asked at every accepted notification.
func TestTokenIndexAllocs(t *testing.T) {
	index, token := NewTokenIndex(), make([]byte, 32)
	index.Put("news", token, 1)
	if allocs := testing.AllocsPerRun(100, func() {
		index.Get("mail", token)
		index.Get("news", token)
	}); allocs != 0 {
		t.Errorf("got %v allocations, want 0", allocs)
	}
}
