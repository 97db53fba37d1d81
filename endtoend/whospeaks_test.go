package endtoend

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"apnsbridge/binproto"
	"apnsbridge/bridge/apnssim"
	"apnsbridge/cmd/apnsbridge/servertest"
)

// The report tells apart Node's apn 1.7.8, PHP's tutorial, a Java program and an MDM server, behind one certificate
// and address and in any order. Of a fifth, which was made up, it says that it does not know it.
func TestWhoSpeaks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, apnssim.Scenario{})
	java := driver{command: java, mode: "java-apns"}
	command := java.find(t)
	servertest.Foreign(t, "php")
	const each = 8
	lines := func(prefix string) string {
		var all strings.Builder
		for i := range each {
			fmt.Fprintf(&all, "%s alert-%d\n", servertest.Token(prefix, i), i)
		}
		return all.String()
	}
	write := func(frame func(i int) binproto.Notification) {
		conn := w.Dial(w.ClientTLS())
		var all []byte
		for i := range each {
			n := frame(i)
			n.Command, n.Token = binproto.Framed, servertest.Unhex(servertest.Token("15", i))
			all = n.Append(all)
		}
		if _, err := conn.Write(all); err != nil {
			t.Fatal(err)
		}
	}
	senders := map[string]func(){
		"node-apn 1.x (Node)": func() {
			n := startNodeAPN(t, w, latestAPN)
			fmt.Fprint(n.stdin, lines("0e"))
		},
		"a script (PHP)":              func() { w.php("never", lines("0f")) },
		"java-apns or JavaPNS (Java)": func() { java.send(t, w, command, newMailing(each, 1000)) },
		"an MDM server": func() {
			write(func(int) binproto.Notification { return binproto.Notification{Payload: []byte(`{"mdm":"7B4E"}`)} })
		},
		"unknown": func() {
			write(func(i int) binproto.Notification {
				return binproto.Notification{Layout: binproto.LayoutOf(2, 1, 5, 4, 3), Identifier: uint32(i * 977),
					HasIdentifier: true,
					HasExpiry:     true, Priority: 10, Payload: []byte(`{"aps":{}}`)}
			})
		},
	}
	want := []string{"a script (PHP)", "an MDM server", "java-apns or JavaPNS (Java)", "node-apn 1.x (Node)", "unknown"}
	orders := [][]int{{3, 0, 2, 1, 4}}
	if *long {
		orders = append(orders, []int{4, 2, 1, 3, 0}, []int{1, 4, 0, 3, 2})
	}
	for round, order := range orders {
		for i, at := range order {
			senders[want[at]]()
			w.Await(want[at], func(st apnssim.Stats) bool { return st.Accepted >= (round*len(want)+i+1)*each })
		}
		var report struct {
			Providers []struct {
				Library string
				Because []string `json:"library_because"`
				Habits  struct{ Frames int }
			}
		}
		_, text := w.Ask(t, http.MethodGet, "/api/providers.json", nil)
		if err := json.Unmarshal([]byte(text), &report); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range report.Providers {
			got = append(got, p.Library)
			if p.Habits.Frames != (round+1)*each || len(p.Because) == 0 {
				t.Errorf("round %d: %s has written %d, because of %q", round, p.Library, p.Habits.Frames, p.Because)
			}
			t.Logf("%s: %s", p.Library, strings.Join(p.Because, "; "))
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Fatalf("round %d: got %q, want %q", round, got, want)
		}
	}
}
