package server

import (
	"fmt"
	"strings"

	"apnsbridge/cmd/apnsbridge/servertest"
)

// check runs apnsbridge check, and returns its exit code and what it prints.
func (w *world) check(how CheckOptions) (code int, stdout, stderr string) {
	w.T.Helper()
	found, err := Check(w.T.Context(), w.Path("apnsbridge.yaml"), how)
	if err != nil {
		code, stderr = servertest.Failed, fmt.Sprintf("apnsbridge: %v\n", err)
	}
	var out strings.Builder
	if err := found.Print(&out); err != nil {
		w.T.Error(err)
	}
	return code, out.String(), stderr
}
