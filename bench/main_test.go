package bench

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime/pprof"
	"testing"

	"go.uber.org/goleak"
)

// What is measured runs in separate processes, so that CPU time, allocations, memory
// and descriptors can be told apart. They run this test binary again, with the name
// of the part to play in this environment variable.
const partVariable = "APNSBRIDGE_BENCH_PART"

func TestMain(m *testing.M) {
	if name := os.Getenv(partVariable); name != "" {
		if err := playPart(name); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*goWorker).run.func1"))
}

// setting is the first thing that a child is told.
type setting struct {
	PKI         string // a directory that devpki has written
	Target      string // host:port to connect to
	Anonymous   bool   // a provider has no certificate
	Spool       string // a gateway's spool.mode; overflow if empty
	Apps        int    // of a gateway: further apps without traffic
	Other       string // of a gateway: host:port of the APNs of a second app, whose providers have no certificate
	Mute        bool   // APNs answers no request
	Certificate string // PEM file of certificate and key, in place of those of PKI's server
	Calm        bool   // APNs accepts notifications in any mood
	Dir         string // for the child's own files; a new one if empty
	Spooled     int64  // bytes a gateway's spool may take; 0: the default
	Topics      bool   // the gateway's app has no topic configured: providers without a certificate use otherTopic
	Profile     string // file for a CPU profile; none if empty
	Program     string // the test binary that plays the part; this one if empty
	Postgres    string // URL of a node's PostgreSQL; empty: the gateway is alone
	Node        string // name of a node
	FleetPKI    string // directory of the nodes' PKI
}

// order tells a child what to do.
type order struct {
	Do    string // the name of one of the orders of its part
	Count int    // notifications or connections
	Rate  int    // notifications a second
	Mood  mood   // of APNs, for these notifications
	One   bool   // they all go to one device
}

// answer is the result of an order.
type answer struct {
	Error string

	Address  string // that it listens on; in the first answer only
	Usage    usage
	Delays   delays
	Upstream int   // connections to APNs
	Written  int   // notifications
	First    int64 // when the first notification came to APNs, in nanoseconds since 1970
	Counts   counts
}

// part is what a child does. do is called for one order at a time.
type part interface {
	do(order) (answer, error)
	close()
}

// parts make a part from its setting. The address is the one that it listens on, if
// any.
var parts = map[string]func(setting) (p part, address string, err error){
	"apns":     startAPNs,
	"gateway":  startGateway,
	"serve":    startServe,
	"listener": startListener,
	"apns2":    startPusher,
	"provider": startProvider,

	"connect-gateway":  startConnectGateway,
	"connect-listener": startConnectListener,
}

// playPart reads orders from the standard input until it ends.
func playPart(name string) error {
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	var s setting
	if err := in.Decode(&s); err != nil {
		return err
	}
	p, address, err := parts[name](s)
	if err != nil {
		return err
	}
	defer p.close()
	if s.Profile != "" {
		f, err := os.Create(s.Profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	for said := (answer{Address: address}); ; {
		if err := out.Encode(said); err != nil {
			return err
		}
		var o order
		if in.Decode(&o) != nil {
			return nil // the parent has gone
		}
		switch o.Do {
		case "usage":
			said = answer{Usage: presentUsage()}
		case "anonymous":
			said, err = answer{}, nil
			said.Usage.Resident, err = mostAnonymous(o.Count)
		case "profiled":
			said, err = answer{}, nil
			pprof.StopCPUProfile()
		case "resident":
			said, err = answer{}, nil
			said.Usage.Resident, err = resident()
			if err == nil && s.Profile != "" {
				err = writeHeap(s.Profile + "-heap")
			}
		default:
			said, err = p.do(o)
		}
		if err != nil {
			said.Error = err.Error()
		}
	}
}

func writeHeap(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return pprof.Lookup("heap").WriteTo(f, 0)
}
