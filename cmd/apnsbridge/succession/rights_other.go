//go:build !unix

package succession

import "errors"

// No descriptor can be passed here, and no gateway runs.
func rightsOf([]int) []byte               { return nil }
func spaceFor(int) int                    { return 0 }
func descriptorsIn([]byte) ([]int, error) { return nil, errors.ErrUnsupported }
func closeOnExec(int)                     {}
