//go:build !linux

package main

import "os"

func stdout() *os.File { return os.Stdout }
