package endtoend

import (
	"os"
	"testing"
	"time"

	"apnsbridge/cmd/apnsbridge/servertest"
)

// within reports whether something took no more than a limit, which is one of a machine that has little else to do.
// On one that is slower it is as much longer as it takes that machine to start the program and have it end.
func within(t *testing.T, took, limit time.Duration) bool {
	t.Helper()
	if took <= limit {
		return true
	}
	const usual = 100 * time.Millisecond
	slowest := usual
	for range 5 {
		cmd := servertest.Program(t, "version")
		cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0") // or it takes a second to end under the race detector
		began := time.Now()
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		slowest = max(slowest, time.Since(began))
	}
	scaled := time.Duration(float64(limit) * float64(slowest) / float64(usual))
	t.Logf("it took %v, on a machine that needs %v for what usually takes %v: %v are allowed instead of %v", took, slowest,
		usual, scaled, limit)
	return took <= scaled
}
