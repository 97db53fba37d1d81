package server

import (
	"os"
	"testing"

	"apnsbridge/cmd/apnsbridge/servertest"
)

func TestMain(m *testing.M) { os.Exit(servertest.Checked{M: m, PerProcessor: 8, InMemory: true}.Run()) }
