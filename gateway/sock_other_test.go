//go:build !linux

package gateway_test

import (
	"net"
	"testing"
)

const onlyLinux = "only Linux tells what has arrived"

func acknowledged(t *testing.T, _ *net.TCPConn) bool { t.Skip(onlyLinux); return false }

func unread(t *testing.T, _ *net.TCPConn) int { t.Skip(onlyLinux); return 0 }

func acknowledge(t *testing.T, _ *net.TCPConn) { t.Skip(onlyLinux) }

func limitDescriptors(t *testing.T, _ int) (restore func()) { t.Skip(onlyLinux); return nil }
