//go:build !unix

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "consume: needs a Unix, for getrusage")
	os.Exit(1)
}
