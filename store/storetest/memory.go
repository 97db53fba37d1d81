package storetest

import "os"

// InMemory has the tests of a package make their files in memory, where there is some: what is
// tested is not how fast a disk is. It is called before they run.
func InMemory() error {
	if dir := memory(); dir != "" {
		return os.Setenv("TMPDIR", dir)
	}
	return nil
}

// memory is a directory of files in memory, with room for what tests leave there; empty: there
// is none.
func memory() string {
	const dir, room = "/dev/shm", 1 << 30
	if free(dir) < room {
		return ""
	}
	return dir
}
