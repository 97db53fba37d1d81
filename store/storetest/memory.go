package storetest

import "os"

// InMemory makes the tests of a package put their files in memory if possible, because they do
// not test how fast a disk is. It must be called before they run.
func InMemory() error {
	if dir := memory(); dir != "" {
		return os.Setenv("TMPDIR", dir)
	}
	return nil
}

// memory returns a directory whose files are in memory, with room for what tests leave there;
// empty if there is none.
func memory() string {
	const dir, room = "/dev/shm", 1 << 30
	if free(dir) < room {
		return ""
	}
	return dir
}
