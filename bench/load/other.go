//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "load: needs Linux, for epoll and /proc; cometd bench runs everywhere")
	os.Exit(1)
}
