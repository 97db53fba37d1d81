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
	return int(took.Milliseconds()) <= atPace(t, int(took.Milliseconds()), func(slower float64) int {
		return int(float64(limit.Milliseconds()) * slower)
	})
}

// atPace is what a bound is on this machine as it is now, of which it is told how many times slower that is than one
// that has little else to do. A bound that got is within is not looked for again.
func atPace(t *testing.T, got int, bound func(slower float64) int) (most int) {
	t.Helper()
	const usual = 100 * time.Millisecond
	usually := bound(1)
	most = usually
	for try := 0; try < 3 && got > most; try++ {
		cmd := servertest.Program(t, "version")
		cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0") // or it takes a second to end under the race detector
		began := time.Now()
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		took := time.Since(began)
		most = max(most, bound(max(1, float64(took)/float64(usual))))
		t.Logf("got %d on a machine that needs %v for what usually takes %v: %d are allowed, and usually %d", got, took, usual,
			most, usually)
	}
	return most
}
