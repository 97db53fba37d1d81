package page

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// Number writes n in groups of three digits.
func Number[N ~int | ~int64 | ~uint64](n N) string { return humanize.Comma(int64(n)) }

// Bytes writes so many of them with the unit that fits.
func Bytes[N ~int | ~int64](n N) string { return humanize.IBytes(uint64(max(n, 0))) }

// amount writes n of what the bound of that name bounds.
func amount(name string, n int64) string {
	if strings.Contains(name, "bytes") || name == "spool_ahead" {
		return Bytes(n)
	}
	return Number(n)
}

// String writes the figure's value.
func (f Figure) String() string { return f.Unit.write(f.Value) }

// Most writes the figure's bound, if it has one.
func (f Figure) Most() string {
	if f.Of == 0 {
		return ""
	}
	return f.Unit.write(f.Of)
}

func (u Unit) write(n int64) string {
	switch u {
	case Octets:
		return Bytes(n)
	case Days:
		return DaysLeft(n)
	}
	return Number(n)
}

// DaysLeft says that something ends in n days.
func DaysLeft(n int64) string {
	switch {
	case n < 0:
		return "expired"
	case n == 1:
		return "1 day left"
	}
	return fmt.Sprintf("%d days left", n)
}

// beside is a sentence where it stands beside the app that it is about: its setting needs no
// name of an app in it.
func beside(app, text string) string { return strings.TrimPrefix(text, "apps."+app+".") }

// duration writes d with the two digits that matter.
func duration(d time.Duration) string {
	switch {
	case d == 0:
		return "–"
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/1e6)
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	case d < 48*time.Hour:
		return fmt.Sprintf("%.0f h", d.Hours())
	}
	return fmt.Sprintf("%.0f days", d.Hours()/24)
}

// percent writes part of whole; nothing where there is no whole.
func percent(part, whole uint64) string {
	if whole == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f %%", 100*float64(part)/float64(whole))
}
