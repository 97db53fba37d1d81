package main

import (
	"slices"

	"github.com/alecthomas/kong"
)

// asMeant are the arguments of whoever asks as other programs are asked: help for
// --help, before a command or where one of a group is due, and --version for version.
func asMeant(args []string, program *kong.Node) []string {
	if len(args) == 0 {
		return []string{"--help"}
	}
	if args[0] == "--version" || args[0] == "-V" {
		return append([]string{"version"}, args[1:]...)
	}
	node := program
	for i, word := range args {
		if !hasCommands(node) {
			break
		}
		if word == "help" {
			return append(slices.Delete(slices.Clone(args), i, i+1), "--help")
		}
		if node = commandOf(node, word); node == nil {
			break
		}
	}
	return args
}

// hasCommands reports whether a word behind node can be a command only.
func hasCommands(node *kong.Node) bool {
	return slices.ContainsFunc(node.Children, func(c *kong.Node) bool { return !c.Hidden })
}

// commandOf is the command of node that is called name, nil if there is none.
func commandOf(node *kong.Node, name string) *kong.Node {
	for _, c := range node.Children {
		if c.Name == name && !c.Hidden {
			return c
		}
	}
	return nil
}
