//go:build !unix

package lull

// Prepare has nothing to do here.
func Prepare() {}

func look() { rest() }
