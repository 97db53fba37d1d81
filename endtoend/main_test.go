package endtoend

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"apnsbridge/cmd/apnsbridge/servertest"
)

func TestMain(m *testing.M) {
	testscript.Main(servertest.Checked{M: m}, map[string]func(){"flooder": flood})
}
