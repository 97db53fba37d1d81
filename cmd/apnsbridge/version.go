package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

type versionCommand struct {
	Modules bool `help:"Also the modules that it is made of."`
}

// Help is the command's example.
func (versionCommand) Help() string {
	return `Prints what was built: version, commit, Go, system.

Example:

  apnsbridge version --modules`
}

// Run prints the version.
func (c versionCommand) Run(std streams) error {
	fmt.Fprintf(std.out, "apnsbridge %s, %s, %s/%s\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	info, ok := debug.ReadBuildInfo()
	if !c.Modules || !ok {
		return nil
	}
	for _, m := range info.Deps {
		fmt.Fprintf(std.out, "%s %s\n", m.Path, m.Version)
	}
	return nil
}

// release is the version of a package: packaging/build has the linker set it.
var release string

// version is that of the package or the module, and the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	settings := make(map[string]string)
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	v := cmp.Or(release, info.Main.Version)
	if v == "" || v == "(devel)" {
		v = "devel"
	}
	if commit := settings["vcs.revision"]; commit != "" && !strings.Contains(v, commit[:min(len(commit), 12)]) {
		v += " " + commit[:min(len(commit), 12)]
	}
	if settings["vcs.modified"] == "true" && !strings.Contains(v, "dirty") {
		v += " with changes"
	}
	return v
}
