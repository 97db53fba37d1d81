package packaging_test

import (
	"debug/elf"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const top = "../../.." // of the repository

// instruction is a line of a Dockerfile: its name, such as COPY, and the rest.
type instruction struct{ name, rest string }

func dockerfile(t *testing.T) (all []instruction) {
	t.Helper()
	for line := range strings.Lines(read(t, filepath.Join(top, "Dockerfile"))) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if strings.HasSuffix(line, `\`) {
			t.Fatalf("this test cannot read continued lines: %s", line)
		}
		name, rest, _ := strings.Cut(line, " ")
		all = append(all, instruction{name, rest})
	}
	return all
}

// The image is made of fixed things: the Go version of go.mod and no moving tag; and its user is
// not root.
func TestDockerfileText(t *testing.T) {
	var from []string
	user := ""
	for _, i := range dockerfile(t) {
		switch i.name {
		case "FROM":
			from = append(from, i.rest)
		case "USER":
			user = i.rest
		}
	}
	_, after, _ := strings.Cut(read(t, filepath.Join(top, "go.mod")), "\ngo ")
	goVersion, _, _ := strings.Cut(after, "\n")
	want := "golang:" + goVersion[:strings.LastIndex(goVersion, ".")] + " AS build"
	if len(from) != 2 || from[0] != want || !strings.HasSuffix(from[1], ":nonroot") {
		t.Errorf("got stages %q, want %q and one that ends in :nonroot", from, want)
	}
	if user != "65532:65532" {
		t.Errorf("USER is %q, want a number, by which Kubernetes can see that it is not root", user)
	}
}

// image has the files of the stages as the Dockerfile's steps make them, without Docker.
type image struct {
	t      *testing.T
	stages map[string]string // the directory of each stage
	stage  string            // the directory of the current stage
	work   string
	env    []string
	entry  []string
	args   []string
	health []string
}

// path returns where a path of the image is in the current stage's directory.
func (m *image) path(p string) string {
	if filepath.IsAbs(p) {
		return filepath.Join(m.stage, p)
	}
	return filepath.Join(m.work, p)
}

// words returns the words of a command, with absolute paths where the image's files really are.
func (m *image) words(command string) []string {
	m.t.Helper()
	var all []string
	if err := json.Unmarshal([]byte(command), &all); err != nil {
		m.t.Fatalf("%s is not a JSON list, but the image has no shell: %v", command, err)
	}
	for i, word := range all {
		if filepath.IsAbs(word) {
			all[i] = m.path(word)
		}
	}
	return all
}

func (m *image) take(i instruction) {
	m.t.Helper()
	fields := strings.Fields(i.rest)
	switch i.name {
	case "FROM":
		m.stage = m.t.TempDir()
		m.work, m.env = m.stage, os.Environ()
		if len(fields) == 3 {
			m.stages[fields[2]] = m.stage
		}
	case "WORKDIR":
		m.work = m.path(i.rest)
	case "ARG":
		m.env = append(m.env, i.rest+"=9.8.7")
	case "COPY":
		m.copy(fields)
	case "RUN":
		cmd := exec.Command("sh", "-ec", strings.ReplaceAll(i.rest, " /", " "+m.stage+"/"))
		cmd.Dir, cmd.Env = m.work, m.env
		if out, err := cmd.CombinedOutput(); err != nil {
			if unavailable(out) {
				m.t.Skipf("modules cannot be had:\n%s", out)
			}
			m.t.Fatalf("RUN %s: %v\n%s", i.rest, err, out)
		}
	case "ENTRYPOINT":
		m.entry = m.words(i.rest)
	case "CMD":
		m.args = m.words(i.rest)
	case "HEALTHCHECK":
		_, command, _ := strings.Cut(i.rest, "CMD ")
		m.health = m.words(command)
	case "USER", "EXPOSE", "VOLUME":
	default:
		m.t.Fatalf("this test does not know the instruction %s", i.name)
	}
}

func (m *image) copy(fields []string) {
	m.t.Helper()
	from := ""
	for ; strings.HasPrefix(fields[0], "--"); fields = fields[1:] {
		if stage, ok := strings.CutPrefix(fields[0], "--from="); ok {
			from = m.stages[stage]
		}
	}
	to := m.path(fields[len(fields)-1])
	for _, name := range fields[:len(fields)-1] {
		switch {
		case from != "":
			m.cp(filepath.Join(from, name), to)
		case name == ".":
			for _, file := range repository(m.t) {
				m.cp(filepath.Join(top, file), filepath.Join(to, file))
			}
		default:
			m.cp(filepath.Join(top, name), filepath.Join(to, name))
		}
	}
}

func (m *image) cp(from, to string) {
	m.t.Helper()
	info, err := os.Stat(from)
	if err != nil {
		m.t.Fatalf("COPY: %v", err)
	}
	if info.IsDir() {
		err = os.CopyFS(to, os.DirFS(from))
	} else {
		write(m.t, to, read(m.t, from), info.Mode().Perm())
	}
	if err != nil {
		m.t.Fatalf("COPY: %v", err)
	}
}

// repository lists the files of the build context: those that git has or would add, except
// what .dockerignore leaves out.
func repository(t *testing.T) (all []string) {
	t.Helper()
	cmd := exec.Command("git", "ls-files", "--cached", "--others", "--exclude-standard")
	cmd.Dir = top
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("git ls-files: %v", err)
	}
	ignored := strings.Fields(read(t, filepath.Join(top, ".dockerignore")))
	for file := range strings.Lines(string(out)) {
		file = strings.TrimSpace(file)
		first, _, _ := strings.Cut(file, "/")
		if !slices.Contains(ignored, first) && exists(filepath.Join(top, file)) {
			all = append(all, file)
		}
	}
	return all
}

// The Dockerfile's steps, run without Docker, make a static binary. Started as the image
// starts it, it becomes healthy by the image's own health check.
func TestDockerfile(t *testing.T) {
	if !*long {
		t.Skip("builds the gateway anew: run it with -args -long")
	}
	m := &image{t: t, stages: make(map[string]string)}
	for _, i := range dockerfile(t) {
		m.take(i)
	}
	binary, err := elf.Open(m.entry[0])
	if err != nil {
		t.Fatal(err)
	}
	defer binary.Close()
	if libraries, _ := binary.ImportedLibraries(); len(libraries) > 0 || binary.Section(".interp") != nil {
		t.Errorf("the binary needs %q, which the image does not have", libraries)
	}
	out, err := exec.Command(m.entry[0], "version").Output()
	if err != nil || !strings.HasPrefix(string(out), "apnsbridge 9.8.7,") {
		t.Errorf("got version %q and %v, want 9.8.7", out, err)
	}

	h := newHost(t, m.stage)
	write(t, h.config, read(t, "apnsbridge.yaml"), 0o640)
	h.configure()
	if exec.Command(m.health[0], m.health[1:]...).Run() == nil {
		t.Error("the health check succeeds before the gateway was started")
	}
	supervise(t, slices.Concat(m.entry, m.args)...)
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		out, err := exec.Command(m.health[0], m.health[1:]...).CombinedOutput()
		if err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the gateway did not become healthy: %v\n%s", err, out)
		}
	}
}
