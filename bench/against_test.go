package bench

import (
	"flag"
	"fmt"
	"strings"
	"testing"
)

var against = flag.String("against", "", "test `binary` of this package of another commit (go test -c), to compare with")

// BenchmarkAgainst compares the gateway of this commit with that of another. One op is
// a round through each of them in each mode of the spool, in turn and all in front of
// the same server. Its figures are medians of the rounds, its ratios medians of the
// ratios within a round.
func BenchmarkAgainst(b *testing.B) {
	if *against == "" {
		b.Skip("-against must name the binary of another commit")
	}
	for _, connections := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("connections=%d", connections), func(b *testing.B) {
			identity := writePKI(b)
			var apns string
			if nginx := find("nginx"); nginx != "" {
				apns = startNginx(b, nginx, identity)
			} else {
				apns = startChild(b, "apns", setting{PKI: identity}).address
			}
			var ways []*way
			for _, spool := range []string{"off", "overflow", "always"} {
				for _, program := range []string{*against, ""} {
					name := spool
					if program != "" {
						name += "-before"
					}
					r := startRelay(b, "gateway", setting{PKI: identity, Target: apns, Spool: spool, Program: program}, connections)
					ways = append(ways, &way{name: name, round: r.round})
				}
			}
			count := 100_000
			if *long {
				count *= 5
			}
			for _, w := range ways { // connections are opened, buffers grow
				w.round(b, count)
			}
			for i := 0; b.Loop(); i++ {
				for j := range ways {
					w := ways[j^i&1] // the two of a pair take turns in being first
					w.rounds = append(w.rounds, w.round(b, count))
				}
			}
			reportAgainst(b, ways)
		})
	}
}

// reportAgainst reports on ways, which are pairs of the other commit and this one.
func reportAgainst(b *testing.B, ways []*way) {
	b.ReportMetric(0, "ns/op")
	var table strings.Builder
	for i, w := range ways {
		speed, cpu, allocs := w.median(speedOf), w.median(cpuOf), w.median(allocsOf)
		fmt.Fprintf(&table, "\n%-15s %8.0f notifications/s %6.2f cpu-µs %6.2f allocs", w.name, speed, cpu, allocs)
		b.ReportMetric(cpu, w.name+"-cpu-µs/notification")
		b.ReportMetric(allocs, w.name+"-allocs/notification")
		if i%2 == 1 {
			before := ways[i-1]
			ofSpeed, ofCPU := w.ratio(before, speedOf), w.ratio(before, cpuOf)
			b.ReportMetric(ofSpeed, w.name+"-speed-of-before")
			b.ReportMetric(ofCPU, w.name+"-cpu-of-before")
			fmt.Fprintf(&table, "   %.2f × the speed, %.2f × the CPU", ofSpeed, ofCPU)
		}
	}
	b.Log(table.String())
}
