package conversation

import (
	"os"
	"runtime/debug"
	"testing"
)

// The histories of these tests leave much behind and keep little, so that the garbage collector
// would take a third of their time.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	os.Exit(m.Run())
}
