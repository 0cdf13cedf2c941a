package main

import (
	"errors"
	"syscall"
)

// narrow lets a socket take little, in segments of an Ethernet's size: the
// loopback's are of 64 KiB, and of those the far side's kernel keeps more than 4
// MiB for somebody who does not read, of which the server there feels nothing. It
// must be done before the peer is told how much it may send, else it sends what
// finds no room, and then waits for seconds before it tries again.
func narrow(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = errors.Join(
			syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 16<<10),
			syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, 1460))
	})
	return errors.Join(err, failed)
}
