package servertest

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// Ask sends a request to the admin port as an operator does. change may alter it; it may be nil.
func (w *World) Ask(t *testing.T, method, path string, change func(*http.Request)) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+w.Admin+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Apnsbridge", "yes")
	if change != nil {
		change(request)
	}
	defer http.DefaultClient.CloseIdleConnections()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// Metrics returns all metrics as Prometheus reads them.
func (w *World) Metrics() string {
	w.T.Helper()
	status, body := w.Ask(w.T, http.MethodGet, "/metrics", nil)
	if status != http.StatusOK {
		w.T.Fatalf("/metrics: got %d and %s", status, body)
	}
	return body
}

// Metric returns the value of one metric, whose name includes its labels.
func (w *World) Metric(t *testing.T, name string) (value float64) {
	t.Helper()
	_, after, ok := strings.Cut(w.Metrics(), "\n"+name+" ")
	if _, err := fmt.Sscan(after, &value); !ok || err != nil {
		t.Fatalf("there is no %s", name)
	}
	return value
}

// Sum adds up the values of all metrics whose lines begin with begins; there may be none.
func (w *World) Sum(t *testing.T, begins string) (sum float64) {
	t.Helper()
	for line := range strings.Lines(w.Metrics()) {
		if rest, ok := strings.CutPrefix(line, begins); ok && strings.ContainsAny(rest[:1], " {,}") {
			var value float64
			if _, err := fmt.Sscan(line[strings.LastIndexByte(line, ' '):], &value); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			sum += value
		}
	}
	return sum
}

// WordsOf returns the text that a page shows.
func WordsOf(source string) string {
	_, body, _ := strings.Cut(source, "<body>")
	text := html.UnescapeString(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(body, " "))
	return strings.TrimSpace(regexp.MustCompile(`[ \n]+`).ReplaceAllString(text, " "))
}
