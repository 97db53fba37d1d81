package store

import (
	"encoding/binary"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// A set does what a map does.
func TestTokenSet(t *testing.T) {
	apps := []string{"", "mail", "news"}
	rapid.Check(t, func(t *rapid.T) {
		type member struct {
			app   string
			token byte
		}
		set, model := NewTokenSet(), make(map[member]bool)
		draw := func(t *rapid.T) member {
			return member{rapid.SampledFrom(apps).Draw(t, "app"), rapid.ByteRange(0, 4).Draw(t, "token")}
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				m := draw(t)
				set.Add(m.app, []byte{m.token})
				model[m] = true
			},
			"remove": func(t *rapid.T) {
				m := draw(t)
				set.Remove(m.app, []byte{m.token})
				delete(model, m)
			},
			"": func(t *rapid.T) {
				if set.Len() != len(model) {
					t.Errorf("got length %d, want %d", set.Len(), len(model))
				}
				for _, app := range apps {
					for token := range byte(5) {
						if got, want := set.Has(app, []byte{token}), model[member{app, token}]; got != want {
							t.Errorf("%q %d: got %v, want %v", app, token, got, want)
						}
					}
				}
			},
		})
	})
}

func TestTokenSetConcurrent(t *testing.T) {
	set := NewTokenSet()
	var workers sync.WaitGroup
	for w := range uint32(8) {
		workers.Go(func() {
			for i := range uint32(1000) {
				token := binary.BigEndian.AppendUint32(nil, w<<16|i)
				set.Add("mail", token)
				if !set.Has("mail", token) {
					t.Error("what was added is not there")
				}
				if i%2 == 0 {
					set.Remove("mail", token)
				}
			}
		})
	}
	workers.Wait()
	if got := set.Len(); got != 8*500 {
		t.Errorf("got length %d, want %d", got, 8*500)
	}
}

// It is asked at every accepted notification.
func TestTokenSetAllocs(t *testing.T) {
	set, token := NewTokenSet(), make([]byte, 32)
	set.Add("news", token)
	if allocs := testing.AllocsPerRun(100, func() {
		set.Has("mail", token)
		set.Has("news", token)
	}); allocs != 0 {
		t.Errorf("got %v allocations, want 0", allocs)
	}
}
