//go:build !unix

package config

import "time"

var began = time.Now()

// spent is how long this process has run, where it is not known how long it has had a processor.
func spent() time.Duration { return time.Since(began) }
