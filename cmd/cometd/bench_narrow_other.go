//go:build !linux

package main

import "syscall"

// narrow is for Linux. Elsewhere it takes longer until a server feels something.
func narrow(string, string, syscall.RawConn) error { return nil }
