//go:build !unix

package config

import "time"

var began = time.Now()

// spent returns how long this process has run, because its CPU time is not known here.
func spent() time.Duration { return time.Since(began) }
