package courier

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestDirectory compares random histories with a naive model: a token is never given twice, and a
// device finds the last notification of each app.
func TestDirectory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type place struct {
			device string
			app    App
		}
		var (
			d       = newDirectory()
			now     = time.Unix(1_800_000_000, 0)
			tokens  = map[place]string{}
			used    = map[string]bool{}
			last    = map[place]*Notification{}
			devices = []string{"a", "b"}
			apps    = []App{{"x", "production"}, {"x", "sandbox"}, {"y", "production"}}
		)
		for _, name := range devices {
			if _, err := d.connect(Hello{Device: name, Installed: []App{}}); err != nil {
				t.Fatal(err)
			}
		}
		gone := func(list []Token, name string, which func(App) bool) {
			var want, got []string
			for at, token := range tokens {
				if at.device == name && which(at.app) {
					want = append(want, token)
					delete(tokens, at)
					delete(last, at)
				}
			}
			for _, token := range list {
				got = append(got, token.Token)
			}
			slices.Sort(want)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Fatalf("revoked %q, want %q", got, want)
			}
		}
		draw := func() place {
			return place{rapid.SampledFrom(devices).Draw(t, "device"), rapid.SampledFrom(apps).Draw(t, "app")}
		}
		t.Repeat(map[string]func(*rapid.T){
			"register": func(t *rapid.T) {
				at := draw()
				token, fresh, err := d.register(at.device, at.app)
				if err != nil {
					t.Fatal(err)
				}
				if before := tokens[at]; fresh != (before == "") || !fresh && token != before || fresh && used[token] {
					t.Fatalf("%v: got %s, fresh %v, had %q", at, token, fresh, before)
				}
				tokens[at], used[token] = token, true
			},
			"uninstall": func(t *rapid.T) {
				at := draw()
				gone(d.uninstall(at.device, at.app), at.device, func(a App) bool { return a == at.app })
			},
			"erase": func(t *rapid.T) {
				at := draw()
				gone(d.erase(at.device), at.device, func(App) bool { return true })
			},
			"restore": func(t *rapid.T) {
				at := draw()
				list, err := d.connect(Hello{Device: at.device, Installed: []App{at.app}})
				if err != nil {
					t.Fatal(err)
				}
				gone(list, at.device, func(a App) bool { return a != at.app })
			},
			"push": func(t *rapid.T) {
				at := draw()
				n := &Notification{Token: tokens[at], Payload: []byte(fmt.Sprint(len(last)))}
				if in := rapid.SampledFrom([]int64{-1, 0, 1, 100}).Draw(t, "expiration"); in >= 0 {
					n.Expiration = new(int64)
					if in > 0 {
						*n.Expiration = now.Unix() + in
					}
				}
				if n.Token == "" {
					n.Token = "unknown"
				}
				want := at.device
				if tokens[at] == "" {
					want = ""
				}
				if got := d.take(n); got != want {
					t.Fatalf("%v: taken for %q, want %q", at, got, want)
				}
				if want != "" && (n.Expiration == nil || *n.Expiration != 0) {
					last[at] = n
				}
			},
			"time": func(*rapid.T) { now = now.Add(10 * time.Second) },
			"come back": func(t *rapid.T) {
				name := rapid.SampledFrom(devices).Draw(t, "device")
				var want, got []int64
				for at, n := range last {
					if at.device == name && (n.Expiration == nil || *n.Expiration > now.Unix()) {
						want = append(want, n.Seq)
					}
				}
				slices.Sort(want)
				for _, n := range d.waiting(name, now) {
					got = append(got, n.Seq)
				}
				if !slices.Equal(got, want) {
					t.Fatalf("%s: got %v, want %v", name, got, want)
				}
				if len(got) > 0 && rapid.Bool().Draw(t, "received") {
					d.received(name, got[0])
					for at, n := range last {
						if at.device == name && n.Seq <= got[0] {
							delete(last, at)
						}
					}
				}
			},
		})
	})
}
