package main

import (
	"io/fs"
	"os"
	"syscall"
)

// stdout is os.Stdout, writes to which can have a deadline if it is a pipe or a
// terminal. It is opened anew for that, because other programs may share what
// we were given, and want it to block. It stays descriptor 1, whose broken pipe
// ends the program.
func stdout() *os.File {
	st, err := os.Stdout.Stat()
	if err != nil || st.Mode()&(fs.ModeNamedPipe|fs.ModeCharDevice) == 0 {
		return os.Stdout
	}
	fd, err := syscall.Open("/proc/self/fd/1", syscall.O_WRONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return os.Stdout
	}
	defer func() { _ = syscall.Close(fd) }() // there is another one by then
	if err := syscall.Dup3(fd, syscall.Stdout, 0); err != nil {
		return os.Stdout
	}
	return os.NewFile(uintptr(syscall.Stdout), os.Stdout.Name())
}
