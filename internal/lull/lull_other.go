//go:build !unix

package lull

import "runtime"

// A pipe is nothing where it cannot be polled.
type pipe struct{}

func (pipe) open()  {}
func (pipe) close() {}
func (pipe) wait()  { runtime.Gosched() }
