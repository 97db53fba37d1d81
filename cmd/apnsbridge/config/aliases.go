package config

import (
	"fmt"

	"github.com/goccy/go-yaml/ast"
)

// aliases finds what each *NAME of a document stands for, which is the last &NAME before it,
// and counts the values that there are if every alias is followed.
type aliases struct {
	file    string
	targets map[*ast.AliasNode]ast.Node // of the aliases that have an anchor
	anchors map[string]anchor           // in the part of the document that has been read
	early   map[string]bool             // names used before any anchor has them
	problem *Problem
}

type anchor struct {
	node   ast.Node
	weight int
}

func findAliases(file string, body ast.Node) (found *aliases, weight int) {
	a := &aliases{file: file, targets: make(map[*ast.AliasNode]ast.Node), anchors: make(map[string]anchor),
		early: make(map[string]bool)}
	return a, a.weigh(body)
}

// weigh counts the values in node. It recurses as deeply as the document is nested, which
// scan has bounded.
func (a *aliases) weigh(node ast.Node) (n int) {
	if a.problem != nil || node == nil {
		return 0
	}
	n = 1
	switch v := node.(type) {
	case *ast.MappingNode:
		for _, value := range v.Values {
			n += a.weigh(value.Value)
		}
	case *ast.SequenceNode:
		for _, value := range v.Values {
			n += a.weigh(value)
		}
	case *ast.TagNode:
		n += a.weigh(v.Value)
	case *ast.AnchorNode:
		n += a.weigh(v.Value)
		name := v.Name.GetToken().Value
		if a.early[name] {
			a.refuse(node, "*%s stands before &%[1]s, or within it: write out what is meant", Clip(name))
		}
		a.anchors[name] = anchor{v.Value, n}
	case *ast.AliasNode:
		name := v.Value.GetToken().Value
		if from, ok := a.anchors[name]; ok {
			a.targets[v] = from.node
			n += from.weight
		} else {
			a.early[name] = true // or it is meant as text, and decode says how to write that
		}
	}
	if n > mostValues {
		a.refuse(node, "with every alias followed the file has more than %d values: write out what is meant",
			mostValues)
	}
	return n
}

func (a *aliases) refuse(node ast.Node, format string, args ...any) {
	if a.problem == nil {
		a.problem = &Problem{a.file, node.GetToken().Position.Line, fmt.Sprintf(format, args...)}
	}
}
