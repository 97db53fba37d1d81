package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// Size is a number of bytes: 65536, 64KiB, 1 GiB.
type Size int64

// Count is how many of something.
type Count int

// Duration is a time.Duration that also knows days: 10s, 5m, 90d.
type Duration time.Duration

// Share is a part of a whole in percent: 10 %.
type Share int

// Loops is a number of event loops, or auto, zero: as suits the processors.
type Loops int

// Rate is how often something may happen: 500/s, 600/m, 1000/h.
type Rate struct {
	Count Count
	Per   Duration
}

// Networks is one network or a list of them: 127.0.0.1, 10.0.0.0/8.
type Networks []netip.Prefix

// Range is two numbers with two dots between: 32..100.
type Range struct{ Min, Max int }

// UnmarshalYAML reads a size with an optional binary unit.
func (s *Size) UnmarshalYAML(node ast.Node) error {
	text := scalar(node)
	number, factor := text, int64(1)
	for i, unit := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if rest, ok := strings.CutSuffix(text, unit); ok {
			number, factor = strings.TrimSpace(rest), 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 1 || n > (1<<62)/factor {
		return problemAt(node, "%q is no size: write a positive number of bytes, or one with KiB, MiB or GiB", shown(text))
	}
	*s = Size(n * factor)
	return nil
}

// UnmarshalYAML reads a positive number.
func (c *Count) UnmarshalYAML(node ast.Node) error {
	n, err := strconv.ParseInt(scalar(node), 10, 32)
	if err != nil || n < 1 {
		return problemAt(node, "%q is no count: write a whole number from 1", shown(scalar(node)))
	}
	*c = Count(n)
	return nil
}

// UnmarshalYAML reads whole percents.
func (p *Share) UnmarshalYAML(node ast.Node) error {
	number, ok := strings.CutSuffix(scalar(node), "%")
	n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 8)
	if err != nil || !ok || n < 1 || n > 100 {
		return problemAt(node, "%q is no share: write one like 10 %%, from 1 %% to 100 %%", shown(scalar(node)))
	}
	*p = Share(n)
	return nil
}

// UnmarshalYAML reads auto or a positive number.
func (l *Loops) UnmarshalYAML(node ast.Node) error {
	n, err := strconv.ParseInt(scalar(node), 10, 16)
	switch {
	case scalar(node) == "auto":
		*l = 0
	case err != nil || n < 1:
		return problemAt(node, "%q is no number of loops: write auto, or a whole number from 1", shown(scalar(node)))
	default:
		*l = Loops(n)
	}
	return nil
}

// UnmarshalYAML reads a positive duration.
func (d *Duration) UnmarshalYAML(node ast.Node) error {
	text := scalar(node)
	var v time.Duration
	var err error
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int64
		n, err = strconv.ParseInt(days, 10, 16)
		v = time.Duration(n) * 24 * time.Hour
	} else {
		v, err = time.ParseDuration(text)
	}
	if err != nil || v <= 0 {
		return problemAt(node, "%q is no duration: write one like 10s, 5m, 24h or 90d", shown(text))
	}
	*d = Duration(v)
	return nil
}

// UnmarshalYAML reads a number of times and a unit of time.
func (r *Rate) UnmarshalYAML(node ast.Node) error {
	const most = 1_000_000
	number, unit, _ := strings.Cut(scalar(node), "/")
	n, err := strconv.ParseInt(number, 10, 32)
	per, ok := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}[unit]
	if err != nil || n < 1 || n > most || !ok {
		return problemAt(node, "%q is no rate: write one like 500/s, 600/m or 1000/h, up to %d", shown(scalar(node)), most)
	}
	*r = Rate{Count: Count(n), Per: Duration(per)}
	return nil
}

// UnmarshalYAML reads two positive numbers, the smaller first.
func (r *Range) UnmarshalYAML(node ast.Node) error {
	low, high, _ := strings.Cut(scalar(node), "..")
	minimum, err1 := strconv.ParseInt(low, 10, 16)
	maximum, err2 := strconv.ParseInt(high, 10, 16)
	if err1 != nil || err2 != nil || minimum < 1 || maximum < minimum {
		return problemAt(node, "%q is no range: write two numbers like 32..100", shown(scalar(node)))
	}
	*r = Range{Min: int(minimum), Max: int(maximum)}
	return nil
}

// UnmarshalYAML reads an address, a network, or a list of both.
func (n *Networks) UnmarshalYAML(node ast.Node) error {
	*n = Networks{}
	for _, element := range elements(node) {
		text := scalar(element)
		network, err := netip.ParsePrefix(text)
		if err != nil {
			var address netip.Addr
			address, err = netip.ParseAddr(text)
			network = netip.PrefixFrom(address, address.BitLen())
		}
		if err != nil {
			return problemAt(element, "%q is neither an address nor a network: write one like 127.0.0.1 or 10.0.0.0/8", shown(text))
		}
		*n = append(*n, network.Masked())
	}
	return nil
}

// elements are those of a list, or the one value in place of it.
func elements(node ast.Node) []ast.Node {
	if list, ok := node.(*ast.SequenceNode); ok {
		return list.Values
	}
	return []ast.Node{node}
}

// UnmarshalYAML reads an address, an address with its environment, or a list.
func (a *Addresses) UnmarshalYAML(node ast.Node) error {
	*a = nil
	for _, element := range elements(node) {
		var address Address
		if _, ok := element.(ast.ScalarNode); ok {
			address.Address = scalar(element)
		} else if err := decode(element, &address); err != nil {
			return err
		}
		*a = append(*a, address)
	}
	return nil
}

// scalar is the text of a node, without its quotes.
func scalar(node ast.Node) string {
	if s, ok := node.(*ast.StringNode); ok {
		return s.Value
	}
	return node.GetToken().Value
}

// problemAt is an error that load finds the line of.
func problemAt(node ast.Node, format string, args ...any) error {
	return &yaml.SyntaxError{Message: fmt.Sprintf(format, args...), Token: node.GetToken()}
}
