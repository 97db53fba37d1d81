package main_test

import (
	"errors"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

const module = "apnsbridge"

// readPackages reads what go list knows of the module's packages, without their tests.
var readPackages = sync.OnceValues(func() (all []*build.Package, err error) {
	const root = "../.."
	err = filepath.WalkDir(root, func(dir string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		if name := entry.Name(); dir != root && (name == "testdata" || strings.ContainsAny(name[:1], "._")) {
			return fs.SkipDir
		}
		p, err := build.ImportDir(dir, 0)
		var none *build.NoGoError
		if errors.As(err, &none) {
			return nil
		}
		if err != nil {
			return err
		}
		p.ImportPath, err = filepath.Rel(root, dir) // without the module's name
		all = append(all, p)
		return err
	})
	return all, err
})

func packages(t *testing.T) []*build.Package {
	t.Helper()
	all, err := readPackages()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 50 {
		t.Fatalf("found %d packages", len(all))
	}
	return all
}

// below reports whether path is one of roots or below one of them. A root that ends
// in "." stands for that package alone.
func below(path string, roots ...string) bool {
	return slices.ContainsFunc(roots, func(root string) bool {
		if alone, ok := strings.CutSuffix(root, "."); ok {
			return path == alone
		}
		return path == root || strings.HasPrefix(path, root+"/")
	})
}

// forbidden has the imports that a package must not have: gateway and bridge do not
// know each other, and leaves stay leaves.
var forbidden = []struct {
	in   string
	what []string
}{
	{"gateway", []string{"apnsbridge/bridge", "apnsbridge/store", "apnsbridge/cmd"}},
	{"gateway/identity", []string{"apnsbridge"}},
	{"gateway/provider", []string{"apnsbridge/gateway", "apnsbridge/bridge"}},
	{"gateway/devpki", []string{"apnsbridge"}},
	{"bridge", []string{"apnsbridge/gateway", "apnsbridge/cmd"}},
	{"bridge/conversation", []string{"apnsbridge/store", "apnsbridge/bridge", "os", "net.", "io", "sync.", "log",
		"context"}},
	{"bridge/h2conn", []string{"apnsbridge"}},
	{"bridge/pushtype", []string{"apnsbridge"}},
	{"bridge/histogram", []string{"apnsbridge"}},
	{"bridge/trace", []string{"apnsbridge"}},
	{"bridge/pace", []string{"apnsbridge"}},
	{"bridge/defaults", []string{"apnsbridge"}},
	{"bridge/badtokens", []string{"apnsbridge"}},
	{"bridge/budget", []string{"apnsbridge"}},
	{"bridge/tombstones", []string{"apnsbridge/bridge.", "apnsbridge/store"}},
	{"bridge/feedback", []string{"apnsbridge/bridge."}},
	{"bridge/clock.", []string{"apnsbridge/bridge.", "apnsbridge/bridge/conversation", "apnsbridge/bridge/upstream",
		"apnsbridge/store"}},
	{"bridge/settings", []string{"apnsbridge/bridge.", "apnsbridge/bridge/lane", "apnsbridge/bridge/conversation",
		"apnsbridge/store"}},
	{"bridge/failures", []string{"apnsbridge/bridge.", "apnsbridge/bridge/lane", "apnsbridge/store"}},
	{"bridge/ledgerlog", []string{"apnsbridge/bridge.", "apnsbridge/bridge/lane", "apnsbridge/bridge/upstream"}},
	{"bridge/health", []string{"apnsbridge/bridge.", "apnsbridge/bridge/lane", "apnsbridge/bridge/conversation",
		"apnsbridge/store"}},
	{"bridge/lane", []string{"apnsbridge", "os", "net.", "io", "log", "context"}},
	{"bridge/upstream", []string{"apnsbridge/bridge.", "apnsbridge/store"}},
	{"bridge/apnssim", []string{"apnsbridge/bridge.", "testing"}},
	{"bridge/apnssim.", []string{"apnsbridge/bridge/apnssim"}},
	{"cmd/apnsbridge/server", []string{"apnsbridge/cmd/apnsbridge/story", "github.com/alecthomas/kong"}},
	{"store", []string{"apnsbridge/binproto", "apnsbridge/bridge", "apnsbridge/gateway", "apnsbridge/cmd"}},
	{"store/boltstore", []string{"apnsbridge/store/pgstore"}},
	{"store/boltstore/seglog", []string{"apnsbridge/store/boltstore", "go.etcd.io"}},
	{"store/boltstore/boltfile", []string{"apnsbridge/store/boltstore"}},
	{"store/boltstore/queuedb", []string{"apnsbridge/store/boltstore."}},
	{"store/pgstore", []string{"apnsbridge/store/boltstore"}},
	{"fleet", []string{"apnsbridge/gateway", "apnsbridge/bridge", "apnsbridge/cmd", "apnsbridge/store/boltstore",
		"apnsbridge/store/pgstore"}},
	{"fleet/lease", []string{"os", "net.", "io", "sync.", "log", "context"}},
}

// common packages may be imported by all others: they keep a rate, and have the
// defaults of all bounds.
var common = []string{"apnsbridge/bridge/pace", "apnsbridge/bridge/defaults"}

// reserved has the imports that only some packages may have.
var reserved = []struct {
	what string
	in   []string
}{
	{"github.com/panjf2000/gnet", []string{"gateway."}},
	{"github.com/sideshow/apns2", []string{"bridge/upstream"}},
	{"go.etcd.io/bbolt", []string{"store/boltstore"}},
	{"github.com/jackc/pgx", []string{"store/pgstore"}},
	{"github.com/prometheus", []string{"cmd/apnsbridge/metrics"}},
	{"github.com/goccy/go-yaml", []string{"cmd/apnsbridge/config"}},
	{"github.com/alecthomas/kong", []string{"cmd"}},
	{"flag", []string{"cmd"}},
	{"testing", []string{"store/storetest", "cmd/apnsbridge/servertest"}},
	{"apnsbridge/cmd/apnsbridge/server", []string{"cmd/apnsbridge."}},
	{"apnsbridge/cmd/apnsbridge/servertest", nil},
	{"apnsbridge/cmd", []string{"cmd"}},
}

func TestImports(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		for _, imported := range p.Imports {
			for _, rule := range forbidden {
				if below(p.ImportPath, rule.in) && below(imported, rule.what...) && !slices.Contains(common, imported) {
					t.Errorf("%s imports %s", p.ImportPath, imported)
				}
			}
			for _, rule := range reserved {
				if below(imported, rule.what) && !below(p.ImportPath, rule.in...) {
					t.Errorf("%s imports %s, which only %s may", p.ImportPath, imported, strings.Join(rule.in, ", "))
				}
			}
			if p.ImportPath == "binproto" && !slices.Contains([]string{"encoding/binary", "errors", "math", "strconv"},
				imported) {
				t.Errorf("binproto imports %s, but it must be a leaf", imported)
			}
		}
	}
}

// Each package has a comment that says what it is.
func TestPackagesAreDescribed(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		begins := "Package " + p.Name + " "
		if p.Name == "main" {
			begins = "Command " + filepath.Base(p.ImportPath) + " "
		}
		if len(p.GoFiles) > 0 && !strings.HasPrefix(p.Doc, begins) {
			t.Errorf("%s: the package's comment begins with %q, not with %q", p.ImportPath, p.Doc, begins)
		}
	}
}

// Only packages in cmd may end the process or read its environment.
func TestProcessBelongsToMain(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		if below(p.ImportPath, "cmd") {
			continue
		}
		for _, name := range p.GoFiles {
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				call, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				if from, ok := call.X.(*ast.Ident); ok && from.Name == "os" &&
					slices.Contains([]string{"Exit", "Getenv", "LookupEnv", "Environ", "Args"}, call.Sel.Name) {
					t.Errorf("%s: os.%s may be used in cmd only", fset.Position(call.Pos()), call.Sel.Name)
				}
				return true
			})
		}
	}
}

// The diagram in docs/design.md has exactly the imports that exist. A package that is not drawn
// counts as the one above it.
func TestDiagram(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/design.md")
	if err != nil {
		t.Fatal(err)
	}
	_, diagram, _ := strings.Cut(string(text), "```mermaid\n")
	diagram, _, _ = strings.Cut(diagram, "```")
	type arrow struct{ from, to string }
	shown, boxes := make(map[arrow]bool), make(map[string]bool)
	for line := range strings.Lines(diagram) {
		if from, to, ok := strings.Cut(strings.TrimSpace(line), " --> "); ok {
			shown[arrow{from, to}], boxes[from], boxes[to] = true, true, true
		}
	}
	if len(shown) == 0 {
		t.Fatal("docs/design.md has no diagram")
	}
	box := func(path string) string {
		for ; path != "." && !boxes[path]; path = filepath.Dir(path) {
		}
		return path
	}
	there := make(map[arrow]bool)
	for _, p := range packages(t) {
		for _, imported := range p.Imports {
			to, ours := strings.CutPrefix(imported, module+"/")
			if !ours || slices.Contains(common, imported) {
				continue
			}
			if a := (arrow{box(p.ImportPath), box(to)}); a.from != a.to && a.from != "." && a.to != "." {
				there[a] = true
			}
		}
	}
	for a := range shown {
		if !there[a] {
			t.Errorf("%s --> %s is drawn, but there is no such import", a.from, a.to)
		}
	}
	for a := range there {
		if !shown[a] {
			t.Errorf("%s --> %s is an import that is not drawn", a.from, a.to)
		}
	}
}
