//go:build !linux

package storetest

import "errors"

var errMount = errors.New("this test knows how to on Linux only")

func mount(string, int) error      { return errMount }
func unmount(string) error         { return errMount }
func remountReadOnly(string) error { return errMount }

// free returns 0: not known.
func free(string) int64 { return 0 }
