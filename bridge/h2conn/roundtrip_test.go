package h2conn

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sideshow/apns2"
	"golang.org/x/net/http2"
)

func TestRoundTrip(t *testing.T) {
	address := serve(t, http.HTTP2Config{MaxConcurrentStreams: 3}, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Said", fmt.Sprint(r.Method, " ", r.URL, " ", r.Host, " ", r.ContentLength, " ", r.Header["X-Two"],
			r.Header["Connection"]))
		w.Header().Set("Trailer", "Sum")
		w.WriteHeader(201)
		w.Write(body)
		w.Header().Set("Sum", fmt.Sprint(len(body)))
	})
	c := dial(t, address, Config{})
	hc := &http.Client{Transport: c.RoundTripper()}
	base := "https://" + address

	t.Run("all parts", func(t *testing.T) {
		req, _ := http.NewRequest("PUT", base+"/a%20b?c=d", strings.NewReader("hello"))
		req.Host = "example.com"
		req.Header["X-Two"] = []string{"1", "2"}
		req.Header.Set("Connection", "close")
		resp, err := hc.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := resp.Header.Get("Said"), "PUT /a%20b?c=d example.com 5 [1 2] []"; got != want {
			t.Errorf("the server saw %q, want %q", got, want)
		}
		if resp.StatusCode != 201 || resp.Status != "201 Created" || string(body) != "hello" || resp.Trailer.Get("Sum") != "5" || resp.ProtoMajor != 2 {
			t.Errorf("got %s %q, trailer %v", resp.Status, body, resp.Trailer)
		}
	})
	t.Run("HEAD and GET", func(t *testing.T) {
		for _, do := range []func(string) (*http.Response, error){hc.Head, hc.Get} {
			resp, err := do(base + "/")
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != 201 {
				t.Errorf("got %s", resp.Status)
			}
		}
	})
	t.Run("body of unknown length", func(t *testing.T) {
		resp, err := hc.Post(base, "text/plain", io.MultiReader(strings.NewReader("one"), strings.NewReader("two")))
		if err != nil {
			t.Fatal(err)
		}
		if body, _ := io.ReadAll(resp.Body); string(body) != "onetwo" {
			t.Errorf("got %q", body)
		}
	})
	t.Run("body that fails", func(t *testing.T) {
		broken := errors.New("broken")
		if _, err := hc.Post(base, "text/plain", io.MultiReader(strings.NewReader("one"), &failing{broken})); !errors.Is(err,
			broken) {
			t.Errorf("got %v, want %v", err, broken)
		}
	})
	t.Run("header that HTTP does not allow", func(t *testing.T) {
		req, _ := http.NewRequest("GET", base, nil)
		req.Header["Bad Name"] = []string{"x"}
		if _, err := c.RoundTripper().RoundTrip(req); err == nil {
			t.Error("the request was sent")
		}
	})
	t.Run("300 callers on 3 streams", func(t *testing.T) {
		var wg sync.WaitGroup
		for i := range 300 {
			wg.Go(func() {
				text := fmt.Sprintf("body %d", i)
				resp, err := hc.Post(base, "text/plain", strings.NewReader(text))
				if err != nil {
					t.Error(err)
					return
				}
				if body, _ := io.ReadAll(resp.Body); string(body) != text {
					t.Errorf("got %q, want %q", body, text)
				}
			})
		}
		wg.Wait()
	})
	t.Run("closed", func(t *testing.T) {
		hc.CloseIdleConnections()
		<-c.Done()
		if _, err := hc.Get(base); !errors.Is(err, ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
	})
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

func TestRoundTripWaits(t *testing.T) {
	onOpenWire(t, Config{WaitingRoundTrips: 2}, func(w *wire) {
		w.fr.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1})
		w.want("SETTINGS ack")
		rt := w.c.RoundTripper()
		results := make(chan string, 10)
		get := func(path string) (cancel context.CancelFunc) {
			ctx, cancel := context.WithCancel(context.Background())
			go func() {
				req, _ := http.NewRequestWithContext(ctx, "GET", "https://example.com"+path, nil)
				resp, err := rt.RoundTrip(req)
				if err != nil {
					results <- path + " " + err.Error()
				} else {
					results <- path + " " + resp.Status
				}
			}()
			synctest.Wait()
			return cancel
		}
		want := func(s string) {
			t.Helper()
			synctest.Wait()
			select {
			case got := <-results:
				if got != s {
					t.Errorf("got %q, want %q", got, s)
				}
			default:
				t.Errorf("got nothing, want %q", s)
			}
		}
		cancel1 := get("/1")
		cancel2 := get("/2")
		cancel3 := get("/3")
		cancel4 := get("/4")
		defer cancel4()
		want("/4 " + ErrNoRoom.Error())
		w.want("HEADERS 1 /1 end")
		cancel2() // while it waits
		want("/2 context canceled")
		cancel1() // while it is under way
		want("/1 context canceled")
		w.want("RST_STREAM 1 CANCEL", "HEADERS 3 /3 end")
		w.answer(3, ":status=204")
		want("/3 204 No Content")
		cancel3()

		cancel5, cancel6 := get("/5"), get("/6")
		w.want("HEADERS 5 /5 end")
		w.fr.WriteGoAway(0, 0, nil)
		synctest.Wait()
		got := []string{<-results, <-results}
		for _, g := range got {
			if !strings.Contains(g, "GOAWAY") && !strings.Contains(g, "draining") && !strings.Contains(g, "closed") {
				t.Errorf("got %q, want the end of the connection", g)
			}
		}
		w.want("GOAWAY 0 NO_ERROR")
		cancel5()
		cancel6()
	})
}

func TestRoundTripTimesOut(t *testing.T) {
	onOpenWire(t, Config{}, func(w *wire) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, "GET", "https://example.com/", nil)
		if _, err := w.c.RoundTripper().RoundTrip(req); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want DeadlineExceeded", err)
		}
		w.want("HEADERS 1 / end", "RST_STREAM 1 CANCEL")
	})
}

// TestAPNs2 puts the connection beneath the unmodified client library apns2.
func TestAPNs2(t *testing.T) {
	address := serve(t, http.HTTP2Config{}, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header()["Apns-Id"] = []string{"id-of-" + r.Header.Get("Apns-Topic")}
		if bytes.Contains(body, []byte("gone")) {
			w.WriteHeader(410)
			io.WriteString(w, `{"reason":"Unregistered","timestamp":1700000000000}`)
		}
	})
	c := dial(t, address, Config{})
	client := &apns2.Client{HTTPClient: &http.Client{Transport: c.RoundTripper()}, Host: "https://" + address}
	for payload, want := range map[string]apns2.Response{
		`{"aps":{"alert":"hi"}}`:   {StatusCode: 200, ApnsID: "id-of-t"},
		`{"aps":{"alert":"gone"}}`: {StatusCode: 410, ApnsID: "id-of-t", Reason: apns2.ReasonUnregistered, Timestamp: apns2.Time{Time: time.UnixMilli(1700000000000)}},
	} {
		got, err := client.Push(&apns2.Notification{DeviceToken: "00fc", Topic: "t", Payload: []byte(payload)})
		if err != nil {
			t.Fatal(err)
		}
		if got.StatusCode != want.StatusCode || got.ApnsID != want.ApnsID || got.Reason != want.Reason ||
			!got.Timestamp.Equal(want.Timestamp.Time) {
			t.Errorf("%s: got %+v, want %+v", payload, got, want)
		}
	}
	client.CloseIdleConnections()
	<-c.Done()
}
