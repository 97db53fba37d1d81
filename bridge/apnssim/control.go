package apnssim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// maxControl bounds the body of a control request, in bytes.
const maxControl = 1 << 20

// Control is the control API, JSON over HTTP:
//
//	GET    /received?since=N   Received, with pushes after the Nth
//	DELETE /received           Reset
//	POST   /devices            a Device
//	POST   /scenario           a Scenario, which replaces the one there is
//	GET    /stats              Stats
//
// A mistake is answered with 400 and {"error": "one sentence"}.
func (s *Simulator) Control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /received", func(w http.ResponseWriter, r *http.Request) {
		since, err := sinceOf(r)
		if err != nil {
			refuse(w, err)
			return
		}
		reply(w, http.StatusOK, s.Received(since))
	})
	mux.HandleFunc("DELETE /received", func(w http.ResponseWriter, r *http.Request) {
		s.Reset()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, r *http.Request) {
		reply(w, http.StatusOK, s.Stats())
	})
	mux.HandleFunc("POST /devices", post(s.SetDevice))
	mux.HandleFunc("POST /scenario", post(s.SetScenario))
	return mux
}

func sinceOf(r *http.Request) (int, error) {
	text := r.URL.Query().Get("since")
	if text == "" {
		return 0, nil
	}
	since, err := strconv.Atoi(text)
	if err != nil || since < 0 {
		return 0, fmt.Errorf("apnssim: since=%.20q is not a number of pushes", text)
	}
	return since, nil
}

// post gives the body, strictly read, to set.
func post[T any](set func(T) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxControl))
		var value T
		if err == nil {
			err = decode(text, &value)
		}
		if err == nil {
			err = set(value)
		}
		if err != nil {
			refuse(w, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

func refuse(w http.ResponseWriter, err error) {
	reply(w, http.StatusBadRequest, struct {
		Error string `json:"error"`
	}{strings.TrimPrefix(err.Error(), "apnssim: ")})
}

func reply(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The only error left is a client that has gone.
	_ = json.NewEncoder(w).Encode(value)
}

// notJSON says where a text is no JSON, or no object.
func notJSON(text []byte, err error) string {
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong):
		return fmt.Sprintf("its value is of the kind %s, and has to be an object, {…}", wrong.Value)
	case errors.As(err, &syntax):
		at := min(int(syntax.Offset), len(text))
		return fmt.Sprintf("it cannot be read in line %d", 1+bytes.Count(text[:at], []byte("\n")))
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "it breaks off at its end"
	}
	return "a value is of another kind"
}

// decode reads one JSON value and nothing else. An unknown key is an error.
func decode(text []byte, value any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(value); err != nil {
		var wrong *json.UnmarshalTypeError
		switch key, unknown := strings.CutPrefix(err.Error(), "json: unknown field "); {
		case unknown:
			return fmt.Errorf("apnssim: unknown key %s", key)
		case errors.As(err, &wrong) && wrong.Field != "":
			return fmt.Errorf("apnssim: %s cannot be a %s", wrong.Field, wrong.Value)
		case errors.Is(err, io.EOF):
			return errors.New("apnssim: the body is empty, a JSON object is expected")
		}
		return fmt.Errorf("apnssim: not the JSON expected: %s", notJSON(text, err))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("apnssim: there is more behind the JSON object")
	}
	return nil
}
