package servertest

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"

	"go.uber.org/goleak"

	"apnsbridge/store/storetest"
)

// Scratch is a folder for what all tests share. It is removed when the tests end.
var Scratch string

// endings are called after the last test.
var endings []func()

// AtEnd registers a function to be called after the last test.
func AtEnd(do func()) { endings = append(endings, do) }

// Checked runs the tests and then looks for goroutines that they have left behind.
type Checked struct {
	M *testing.M
	// PerProcessor is how many tests run at a time for each processor, because they mostly wait;
	// unless -test.parallel says how many run in all. 0 stands for 4.
	PerProcessor int
	// InMemory makes the tests put their files in memory if possible. Scratch stays on the disk,
	// because it may have programs, which do not run everywhere from memory.
	InMemory bool
}

// Run is like testing.M's.
func (c Checked) Run() int {
	var err error
	if Scratch, err = os.MkdirTemp("", "apnsbridge-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(Scratch)
	if c.InMemory {
		if err := storetest.InMemory(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	c.waitTogether()
	// gnet's worker pool lives as long as the process, and its workers for a while.
	pool, worker := goleak.IgnoreCurrent(), goleak.IgnoreTopFunction("github.com/panjf2000/ants/v2.(*goWorker).run.func1")
	code := c.M.Run()
	for _, do := range endings {
		do()
	}
	if err := goleak.Find(pool, worker); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// waitTogether has more tests run at a time than there are processors.
func (c Checked) waitTogether() {
	flag.Parse()
	said := false
	flag.Visit(func(f *flag.Flag) { said = said || f.Name == "test.parallel" })
	if !said {
		flag.Set("test.parallel", strconv.Itoa(cmp.Or(c.PerProcessor, 4)*runtime.GOMAXPROCS(0)))
	}
}
