package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
)

// include reads the files that the configuration names in include, and those in apps_dir, each
// of which is an app with the file's name.
func (s *source) include(config *Config) {
	s.included[withoutLinks(s.main)] = place{s.main, 1}
	s.includeFiles(config, s.main)
	if config.AppsDir == "" {
		return
	}
	dir := config.Path(config.AppsDir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		s.reject("apps_dir", "%s", noDirectory(dir, err))
		s.wrong = append(s.wrong, "apps") // so that missing apps are not another problem
	}
	for _, entry := range entries {
		extension := filepath.Ext(entry.Name())
		name := strings.TrimSuffix(entry.Name(), extension)
		if extension = strings.ToLower(extension); (extension == ".yaml" || extension == ".yml") &&
			!strings.HasPrefix(name, ".") {
			s.includeApp(config, name, filepath.Join(dir, entry.Name()))
		}
	}
	if err == nil && len(config.Apps) == 0 {
		s.lacks("apps", "no app is configured: put a file NAME.yaml for each into %s, or add one under apps", clipPath(dir))
	}
}

// noDirectory returns a sentence about a directory that cannot be read.
func noDirectory(dir string, err error) string {
	switch {
	case errors.Is(err, os.ErrPermission):
		return fmt.Sprintf("%s cannot be read: give its group or owner, which apnsbridge runs as, the right to read and "+
			"enter it", clipPath(dir))
	case errors.Is(err, os.ErrNotExist):
		return fmt.Sprintf("there is no directory %s: make it, with a file NAME.yaml for each app", clipPath(dir))
	}
	return fmt.Sprintf("%s is no directory: name one, with a file NAME.yaml for each app", clipPath(dir))
}

// includeFiles reads the files that config.Include names, relative to the file from, and those
// that they include in turn.
func (s *source) includeFiles(config *Config, from string) {
	for i, pattern := range config.Include {
		at := fmt.Sprintf("include[%d]", i)
		if _, list := s.places[at]; !list {
			at = "include"
		}
		if !filepath.IsAbs(pattern) && !IsKeyText(pattern) {
			pattern = filepath.Join(filepath.Dir(from), pattern)
		}
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 && !strings.ContainsAny(pattern, "*?[") {
			s.reject(at, "there is no file %s: correct the name, or write a pattern like conf.d/*.yaml", clipPath(pattern))
		}
		if dir := filepath.Dir(pattern); len(files) == 0 && err == nil {
			if _, err := os.ReadDir(dir); errors.Is(err, os.ErrPermission) { // where a pattern matches nothing
				s.reject(at, "%s", noDirectory(dir, err))
				s.wrong = append(s.wrong, "apps")
			}
		}
		for _, file := range files {
			name := withoutLinks(file)
			if before, ok := s.included[name]; ok {
				s.reject(at, "%s is included twice, or includes itself: %s:%d has it already: keep one of them",
					clipPath(file), before.file, before.line)
				continue
			}
			s.included[name] = s.places[at]
			s.includeFile(config, file)
		}
	}
}

// includeFile reads one file, which may have an include of its own.
func (s *source) includeFile(config *Config, file string) {
	outer, places := config.Include, make(map[string]place)
	for path, at := range s.places {
		if path == "include" || strings.HasPrefix(path, "include[") {
			places[path] = at
			delete(s.places, path)
		}
	}
	config.Include = nil
	s.takeFile(file, reflect.ValueOf(config).Elem(), "")
	s.includeFiles(config, file)
	maps.DeleteFunc(s.places, func(path string, _ place) bool {
		return path == "include" || strings.HasPrefix(path, "include[")
	})
	maps.Copy(s.places, places)
	config.Include = outer
}

// withoutLinks returns a name of a file that is the same however the file is named.
func withoutLinks(file string) string {
	if real, err := filepath.EvalSymlinks(file); err == nil {
		file = real
	}
	if absolute, err := filepath.Abs(file); err == nil {
		file = absolute
	}
	return file
}

func (s *source) takeFile(file string, v reflect.Value, path string) {
	text, err := readBounded(file)
	if err != nil {
		remedy := "the file cannot be read: give its group or owner, which apnsbridge runs as, the right to read it"
		switch {
		case errors.Is(err, errTooLong):
			remedy = errTooLong.Error()
		case errors.Is(err, syscall.EISDIR):
			remedy = "this is a directory: name its files, like " + clipPath(filepath.Join(file, "*.yaml"))
			if path != "" {
				remedy = "this is a directory: an app has a file of its own here, NAME.yaml"
			}
		case errors.Is(err, os.ErrNotExist):
			remedy = "this is a link to what is not there: remove it, or make the file that is meant"
		}
		s.breakOff(Problem{file, 1, remedy})
		return
	}
	s.take(file, text, v, path)
}

func (s *source) includeApp(config *Config, name, file string) {
	path := "apps." + name
	if before, ok := s.places[path]; ok {
		s.note(Problem{file, 1, fmt.Sprintf("the app %s stands in %s:%d already: keep "+
			"one of them", Clip(name), before.file, before.line)})
		return
	}
	s.places[path] = place{file, 1}
	app := App{dir: filepath.Dir(file)}
	s.own = path
	s.takeFile(file, reflect.ValueOf(&app).Elem(), path)
	s.own = ""
	app.Credential.findByTopic(filepath.Dir(file), app.Topic, config.file)
	if config.Apps == nil {
		config.Apps = make(map[string]App)
	}
	config.Apps[name] = app
}

// findByTopic uses TOPIC.p12, TOPIC.pfx or TOPIC.pem in dir if the file of an app there names
// no credential, or a certificate without its file.
func (c *Credentials) findByTopic(dir, topic, main string) {
	if topic == "" || c.Split() || c.Token != nil || c.Certificate != nil && c.Certificate.File != "" {
		return
	}
	for _, extension := range []string{".p12", ".pfx", ".pem"} {
		file := filepath.Join(dir, filepath.Base(topic)+extension)
		if _, err := os.Stat(file); err != nil {
			continue
		}
		if c.Certificate == nil {
			c.Certificate = new(Certificate)
		}
		c.Certificate.File = relativeTo(main, file)
		return
	}
}

// relativeTo returns a file's name as the configuration file main would name it.
func relativeTo(main, file string) string {
	if relative, err := filepath.Rel(filepath.Dir(main), file); err == nil && !filepath.IsAbs(file) {
		return relative
	}
	return file
}
