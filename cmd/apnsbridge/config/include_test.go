package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// If include or apps_dir name a missing or a wrong file, there is exactly one problem, which says what it is.
func TestMisplacedFiles(t *testing.T) {
	indented := strings.ReplaceAll(strings.TrimSpace(app), "\n", "\n  ")
	const dir = "apps_dir: apps.d\n"
	for _, tt := range []struct {
		name, main string
		files      map[string]string
		want       string // the whole error, with DIR for the directory
	}{
		{"no directory", dir, nil, "DIR/apnsbridge.yaml:2: there is no directory DIR/apps.d: make it, with a file " +
			"NAME.yaml for each app"},
		{"a file", dir, map[string]string{"apps.d": "x"}, "DIR/apnsbridge.yaml:2: DIR/apps.d is no directory: name one, " +
			"with a file NAME.yaml for each app"},
		{"a pattern", "apps_dir: apps.d/*.yaml\n", map[string]string{"apps.d/one.yaml": app},
			"DIR/apnsbridge.yaml:2: there is no directory DIR/apps.d/*.yaml: make it, with a file NAME.yaml for each app"},
		{"no app in it", dir, map[string]string{"apps.d/README": "x"}, "DIR/apnsbridge.yaml:1: no app is configured: put a " +
			"file NAME.yaml for each into DIR/apps.d, or add one under apps"},
		{"an app's name above its keys", dir, map[string]string{"apps.d/one.yaml": "one:\n  " + indented},
			"DIR/apps.d/one.yaml:1: the file's name says which app this is: write its keys without one: above them, and " +
				"without indentation"},
		{"apps above its keys", dir, map[string]string{"apps.d/one.yaml": "apps: {}\n"}, "DIR/apps.d/one.yaml:1: the " +
			"file's name says which app this is: write its keys without apps: above them, and without indentation"},
		{"a directory for an app", dir, map[string]string{"apps.d/one.yaml/x": ""},
			"DIR/apps.d/one.yaml:1: this is a directory: an app has a file of its own here, NAME.yaml"},
		{"a directory for a file", "include: conf.d\n", map[string]string{"conf.d/one.yaml": "limits: {window: 5}"},
			"DIR/conf.d:1: this is a directory: name its files, like DIR/conf.d/*.yaml"},
		{"a list for a configuration", "include: one.yaml\n", map[string]string{"one.yaml": "- x"},
			"DIR/one.yaml:1: the top of the file is a list: write KEY: VALUE, without a - before it"},
	} {
		texts := map[string]string{"apnsbridge.yaml": top + tt.main}
		for name, text := range tt.files {
			texts[name] = text
		}
		_, dir, err := files(t, texts)
		if err == nil || strings.ReplaceAll(err.Error(), dir, "DIR") != tt.want {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
		}
	}
}

// A directory that cannot be read is not treated like an empty one.
func TestUnreadableDirectories(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root reads everything")
	}
	for _, main := range []string{"include: conf.d/*.yaml\n", "apps_dir: conf.d\n"} {
		dir := t.TempDir()
		unreadable := filepath.Join(dir, "conf.d")
		if err := os.Mkdir(unreadable, 0); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, "apnsbridge.yaml")
		if err := os.WriteFile(file, []byte(top+main), 0o600); err != nil {
			t.Fatal(err)
		}
		want := file + ":2: " + unreadable + " cannot be read: give its group or owner, which apnsbridge runs as, the " +
			"right to read and enter it"
		if _, err := Load(file); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", main, err, want)
		}
	}
}

// The file extensions of YAML may be in capitals.
func TestEndingsOfAppFiles(t *testing.T) {
	c, _, err := files(t, map[string]string{"apnsbridge.yaml": top + "apps_dir: apps.d\n", "apps.d/one.YAML": app,
		"apps.d/two.yml": app, "apps.d/three.yaml": app, "apps.d/four.yaml.bak": "x", "apps.d/.five.yaml": "x",
		"apps.d/six.yaml~": "x"})
	if err != nil || len(c.Apps) != 3 {
		t.Errorf("got %v and error %v", c, err)
	}
}
