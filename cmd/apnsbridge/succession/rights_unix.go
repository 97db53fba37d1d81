//go:build unix

package succession

import "syscall"

// rightsOf is the message that passes descriptors.
func rightsOf(fds []int) []byte { return syscall.UnixRights(fds...) }

// spaceFor is how long the message of so many descriptors is, in bytes.
func spaceFor(fds int) int {
	const bytes = 4
	return syscall.CmsgSpace(fds * bytes)
}

// descriptorsIn are those that a message has passed.
func descriptorsIn(message []byte) (all []int, err error) {
	parts, err := syscall.ParseSocketControlMessage(message)
	if err != nil {
		return nil, err
	}
	for _, part := range parts {
		fds, err := syscall.ParseUnixRights(&part)
		if err != nil {
			return nil, err
		}
		all = append(all, fds...)
	}
	return all, nil
}

func closeOnExec(fd int) { syscall.CloseOnExec(fd) }
