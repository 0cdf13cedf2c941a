//go:build !unix && !js

package wire

import (
	"errors"
	"net"
	"syscall"
)

// bare is nil where a socket cannot be written without blocking.
func bare(net.Conn) syscall.RawConn { return nil }

func tryWrite(syscall.RawConn, []byte) (int, error) { return 0, errors.ErrUnsupported }
func tryRead(syscall.RawConn, []byte) (int, error)  { return 0, errors.ErrUnsupported }
