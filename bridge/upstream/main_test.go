package upstream

import (
	"context"
	"flag"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"apnsbridge/bridge/apnssim"
	"apnsbridge/gateway/devpki"
)

var long = flag.Bool("long", false, "run the long rounds")

// TestMain runs more tests in parallel than there are processors, unless -parallel is given: most
// of their time they wait.
func TestMain(m *testing.M) {
	flag.Set("test.parallel", strconv.Itoa(8*runtime.GOMAXPROCS(0)))
	goleak.VerifyTestMain(m)
}

const (
	topic = "com.example.demo"
	hello = `{"aps":{"alert":"hi"}}`
)

var goodDevice = []byte{0xaa}

// pki is made once.
var pki = sync.OnceValue(func() *devpki.PKI {
	p, err := devpki.CreateOf(topic, devpki.ECDSA) // RSA keys take long to make
	if err != nil {
		panic(err)
	}
	return p
})

// patience ends a test that waits for something that does not come, however busy the machine is.
const patience = 2 * time.Minute

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for ctx := within(t); !cond(); time.Sleep(time.Millisecond) {
		if ctx.Err() != nil {
			t.Fatalf("it never happened: %s", what)
		}
	}
}

func startSim(t *testing.T, scenario apnssim.Scenario) *apnssim.Simulator {
	t.Helper()
	certificate, err := pki().Server.TLS()
	if err != nil {
		t.Fatal(err)
	}
	sim, err := apnssim.Start(apnssim.Config{Certificate: certificate, ClientCAs: pki().Pool(), Scenario: scenario})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sim.Close() })
	return sim
}

func endpoint(sim *apnssim.Simulator) Endpoint { return Endpoint{URL: sim.URL(), CA: pki().Pool()} }

func tokenCredential(t testing.TB) *Credential {
	t.Helper()
	c, err := NewTokenCredential(pki().TokenKey, "ABC123DEFG", "DEF123GHIJ")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// deviceToken is a token of 32 bytes, the same for the same number.
func deviceToken(prefix []byte, number int) []byte {
	token := make([]byte, 32)
	copy(token, prefix)
	token[28], token[29], token[30], token[31] = byte(number>>24), byte(number>>16), byte(number>>8), byte(number)
	return token
}
